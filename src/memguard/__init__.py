"""memguard: memory-guided video anomaly detection, as PyTorch Lightning experiments."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memguard.config.compose import compose
    from memguard.data.clips.datamodule import ClipDataModule
    from memguard.detection.detector import Detector
    from memguard.detection.guard import MemoryGuard
    from memguard.errors import UserError
    from memguard.live.scorer import load
    from memguard.model.autoencoder import Autoencoder
    from memguard.model.memory import Memory
    from memguard.report.scores import read_scores
    from memguard.scoring.localization import RBDC, TBDC
    from memguard.scoring.metrics import FrameAP, FrameAUROC, FrameEER
    from memguard.scoring.pixels import PixelAUROC
    from memguard.scoring.protocols import ScoreConfig
    from memguard.training.experiment import evaluate, prepare, train

__all__ = [
    "RBDC",
    "TBDC",
    "Autoencoder",
    "ClipDataModule",
    "Detector",
    "FrameAP",
    "FrameAUROC",
    "FrameEER",
    "Memory",
    "MemoryGuard",
    "PixelAUROC",
    "ScoreConfig",
    "UserError",
    "compose",
    "evaluate",
    "load",
    "prepare",
    "read_scores",
    "train",
]
__version__ = "0.1.0"

# OpenMP reads these when PyTorch is imported. Its threads spin while they wait for one another:
# libgomp's 300 000 turns keep cores from other processes, so many cost little on a quiet machine
# (experiments/benchmarks/waiting_threads.py).
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "20000"

_PLACES = {
    "RBDC": "scoring.localization",
    "TBDC": "scoring.localization",
    "Autoencoder": "model.autoencoder",
    "ClipDataModule": "data.clips.datamodule",
    "Detector": "training.trained",  # which gives it load_from_checkpoint
    "FrameAP": "scoring.metrics",
    "FrameAUROC": "scoring.metrics",
    "FrameEER": "scoring.metrics",
    "Memory": "model.memory",
    "MemoryGuard": "detection.guard",
    "PixelAUROC": "scoring.pixels",
    "ScoreConfig": "scoring.protocols",
    "UserError": "errors",
    "compose": "config.compose",
    "evaluate": "training.experiment",
    "load": "live.scorer",
    "prepare": "training.experiment",
    "read_scores": "report.scores",
    "train": "training.experiment",
}


def __getattr__(name: str) -> Any:
    """Import lazily: PyTorch takes seconds to load."""
    if name in _PLACES:
        return getattr(import_module(f"memguard.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
