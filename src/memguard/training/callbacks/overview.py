"""One line about a training as it begins."""

import logging
from typing import cast

import pytorch_lightning as pl
import torch

from memguard.data.clips.datamodule import ClipDataModule
from memguard.detection.detector import Detector
from memguard.model.memory.base import present

log = logging.getLogger(__name__)


class Overview(pl.Callback):
    """Log model, parameters, device, precision and windows per epoch before the first step."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the line, in the first process alone."""
        if trainer.is_global_zero:
            log.info(overview(trainer, cast(Detector, pl_module)))


def overview(trainer: pl.Trainer, detector: Detector) -> str:
    """Describe a training in one line.

    Args:
        trainer: Within its hook ``on_train_start``.
        detector: The detector that it trains.
    """
    parameters = sum(parameter.numel() for parameter in detector.parameters())
    return (
        f"{type(detector.autoencoder).__name__} with {_items(detector)} items: "
        f"{parameters:,} parameters, {_devices(trainer)}, {trainer.precision}, "
        f"{_windows_per_epoch(trainer)} windows per epoch"
    )


def _items(detector: Detector) -> str:
    """Count the items; a memory that grows begins with fewer than it has rows for."""
    rows, items = len(detector.memory.items), int(present(detector.memory.items).sum())
    return str(items) if items == rows else f"{items} to {rows}"


def _devices(trainer: pl.Trainer) -> str:
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return name if trainer.world_size == 1 else f"{trainer.world_size} × {name}"


def _windows_per_epoch(trainer: pl.Trainer) -> str:
    """Count the training windows of an epoch; limits may shorten it."""
    data = cast(ClipDataModule, trainer.datamodule)  # type: ignore[attr-defined]
    at_most = int(trainer.num_training_batches) * data.batch_size * trainer.world_size
    taken, all_windows = min(at_most, data.epoch_windows), data.training_windows
    return f"{taken:,}" if taken == all_windows else f"{taken:,} of {all_windows:,}"
