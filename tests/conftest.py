"""Fixtures that all tests share."""

import os
import shutil
import signal
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Literal

import av
import numpy as np
import pytest
import torch
from hypothesis import settings

from memguard.detection.detector import Detector
from memguard.detection.guard import MemoryGuard
from memguard.model.autoencoder import Autoencoder
from memguard.model.memory.mnad import Memory
from memguard.model.schedules import Schedule, cosine
from memguard.model.total_loss import TotalLoss, published_loss
from memguard.scoring.protocols import ScoreConfig
from tests.browser import page as page

# Tests that a script runs in its background would hand down to commands that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

COSINE = Schedule(cosine)

# A busy machine is no failure.
settings.register_profile("memguard", deadline=None)
settings.load_profile("memguard")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real benchmark video: `ped2/`, `avenue/` and `labels/`."""
    folder = os.environ.get("MEMGUARD_TEST_DATA")
    if not folder:
        pytest.skip("set MEMGUARD_TEST_DATA to a folder that holds ped2/, avenue/ and labels/")
    return Path(folder)


def write_video(path: Path, frames: np.ndarray, fps: int = 25) -> Path:
    """Write uint8 (N, H, W, 3) as lossless H.264, so that tests know every value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=fps, options={"qp": "0"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "rgb24"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


def moving_square(frames: int, *, speed: int = 1, seed: int = 0) -> np.ndarray:
    """A bright square that crosses a noisy ground: uint8 (frames, 48, 64, 3)."""
    rng = np.random.default_rng(seed)
    clip = rng.integers(60, 80, (frames, 48, 64, 1), dtype=np.uint8).repeat(3, axis=3)
    for number in range(frames):
        left = number * speed % 52
        clip[number, 18:30, left : left + 12] = 220
    return clip


def small_detector(
    scope: Literal["dataset", "video"] = "dataset",
    threshold: float | Literal["auto"] = 0.0,
    *,
    scoring: ScoreConfig | None = None,
    loss: TotalLoss | None = None,
    schedule: Schedule | None = COSINE,
    compiled: bool = False,
) -> Detector:
    """A detector that trains and tests in moments, the same at each call, in evaluation mode."""
    torch.manual_seed(0)
    return Detector(
        Autoencoder(channels=1, width=4, features=8, past=4, skip_connections=True),
        Memory(size=5, dim=8),
        MemoryGuard(threshold=threshold, quantile=0.5, scope=scope, enabled=True),
        loss=loss or published_loss(compactness=0.1, separateness=0.1),
        optimizer=torch.optim.Adam,
        schedule=schedule,
        scoring=scoring or ScoreConfig("published", 0.6, (0.25, 0.25), 1.0, causal=False),
        channels_last=False,
        compiled=compiled,
    ).eval()


@pytest.fixture(scope="session")
def shared_scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset in the `folder` layout, to read only: slow is normal, fast is anomalous."""
    root = tmp_path_factory.mktemp("scene")
    for number in range(2):
        write_video(root / "train" / f"{number}.mp4", moving_square(24, seed=number))
    for number in range(2):
        slow, fast = moving_square(10, seed=8 + number), moving_square(10, speed=5, seed=number)
        write_video(root / "test" / f"{number}.mp4", np.concatenate([slow, fast]))
    (root / "labels.csv").write_text("video,start,end\n0,10,19\n1,10,19\n")
    return root


@pytest.fixture
def scene(shared_scene: Path, tmp_path: Path) -> Path:
    """A copy of it, to do as one likes with."""
    return Path(shutil.copytree(shared_scene, tmp_path / "scene"))


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The authors' network and test, under a name as their pickles have it."""
    path = Path(__file__).with_name("published.py")
    spec = spec_from_file_location("model.published", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "model", ModuleType("model"))
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module
