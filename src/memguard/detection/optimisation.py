"""A training step: its result, the schedule of its optimiser, and clipped gradients."""

from math import inf
from typing import NamedTuple

import pytorch_lightning as pl
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities.enums import GradClipAlgorithmType
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer

from memguard.model.schedules import Schedule


class Step(NamedTuple):
    """The result of a training step.

    Attributes:
        loss: The total loss.
        metrics: The values to log, tensors on the device.
        query: (B, K, C), unit rows, without gradient.
        similarity: (B, K, M), the cosine of each query with each item.
        item_counts: (M,), the number of queries nearest to each item.
    """

    loss: Tensor
    metrics: dict[str, Tensor]
    query: Tensor
    similarity: Tensor
    item_counts: Tensor


def scheduled(
    optimizer: Optimizer, schedule: Schedule | None, trainer: pl.Trainer
) -> OptimizerLRScheduler:
    """Join an optimizer and the schedule of its learning rate, as Lightning takes them.

    Args:
        optimizer: Begins with its learning rate.
        schedule: None leaves the learning rate as it is.
        trainer: Knows the length of the training.

    Raises:
        MisconfigurationException: If the schedule needs the end of a training that has none.
    """
    if schedule is None:
        return optimizer
    scheduler = schedule.begin(optimizer, _steps(schedule, trainer) if schedule.needs_end else 0)
    return {
        "optimizer": optimizer,
        "lr_scheduler": {"scheduler": scheduler, "interval": schedule.interval},
    }


def clip_unscaled(
    precision: MixedPrecision,
    optimizer: Optimizer,
    value: float | None,
    algorithm: str | None,
) -> None:
    """Clip gradients that have no scale, as those of bf16.

    A fused optimizer unscales gradients itself, so Lightning rejects it with any mixed precision.

    Args:
        precision: Without a scaler.
        optimizer: Holds the gradients.
        value: The largest norm or value; None for no limit.
        algorithm: ``norm`` or ``value``; None for ``norm``.
    """
    kind = GradClipAlgorithmType(algorithm or "norm")
    Precision.clip_gradients(precision, optimizer, value or 0.0, kind)


def _steps(schedule: Schedule, trainer: pl.Trainer) -> int:
    """Count the steps of a schedule that needs the end of the training."""
    in_epochs = schedule.interval == "epoch"
    steps = trainer.max_epochs or -1 if in_epochs else trainer.estimated_stepping_batches
    if not 0 <= steps < inf:
        raise MisconfigurationException(
            f"the schedule goes to the end of the training, which has no number of "
            f"{schedule.interval}s: set trainer.max_{schedule.interval}s, or scheduler=none"
        )
    return int(steps)
