"""The folder that the examples of docstrings run in: videos of a door, and a training on them."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import memguard
from tests.conftest import moving_square, write_video

SMALL = [
    "dataset=folder", "dataset.root=door", "model=mnad_tiny", "trainer.max_epochs=1", "logger=csv",
    "data.holdout=0.5",
]  # fmt: skip


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``door/``: slow is normal, fast is anomalous."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(2):
        write_video(folder / "door" / "train" / f"{number}.mp4", moving_square(24, seed=number))
    slow, fast = moving_square(10, seed=8), moving_square(10, speed=5)
    write_video(folder / "door" / "test" / "0.mp4", np.concatenate([slow, fast]))
    (folder / "door" / "labels.csv").write_text("video,start,end\n0,10,19\n")
    return folder


@pytest.fixture(scope="session")
def trained(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of it with ``runs/door/``, the run of a training."""
    folder = Path(shutil.copytree(videos, tmp_path_factory.mktemp("trained") / "videos"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        memguard.train(memguard.compose(SMALL), "runs/door")
    return folder


@pytest.fixture(autouse=True)
def example(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run an example in a folder of its own, with ``door/``, and ``runs/door/`` if it is read."""
    source = "".join(line.source for line in request.node.dtest.examples)
    if "door" not in source:
        return
    monkeypatch.setenv("MEMGUARD_CACHE", str(tmp_path / "cache"))
    # A doctest compares all that is printed: it gets values alone, no tables and progress bars.
    monkeypatch.setattr(Console, "file", property(lambda self: sys.stderr))
    given = request.getfixturevalue("trained" if "runs/door/" in source else "videos")
    shutil.copytree(given, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
