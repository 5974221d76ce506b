"""Pictures of a camera, and a small disk for its files."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from memguard.detection.events import Moment, ScoredPicture


def scored(frame: int, score: float, fps: float = 25.0) -> ScoredPicture:
    """A noisy picture, 48 pixels high and 64 wide, whose worst patch is in the middle."""
    random = torch.Generator().manual_seed(frame)
    return ScoredPicture(
        Moment(frame, frame / fps), score, psnr=30.0, distance=0.5, regular=0.25, written=False,
        box=(20, 10, 40, 30), error=np.zeros((8, 8), np.float32),
        rgb=torch.randint(256, (3, 48, 64), generator=random, dtype=torch.uint8).numpy(),
    )  # fmt: skip


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
