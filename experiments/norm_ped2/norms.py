"""The mean and variance of each channel that batch norm tests with: gathered, and compared."""

from collections.abc import Iterable
from pathlib import Path

import torch
from omegaconf import DictConfig
from torch import Tensor

from memguard.builders import build_benchmark, build_datamodule
from memguard.data.datamodule import ClipDataModule
from memguard.detector import Detector
from memguard.norm import batch_norms, gathering
from memguard.trained import restore

Statistics = dict[str, tuple[Tensor, Tensor]]
"""Mean and variance of each channel, (C,) both, by the layer's name."""


def take_up(checkpoint: Path) -> tuple[Detector, ClipDataModule, DictConfig]:
    """Take up what a training left, and the videos that it saw."""
    detector, config = restore(checkpoint)
    datamodule = build_datamodule(config, build_benchmark(config))
    datamodule.prepare_data()
    datamodule.setup()
    return detector.eval(), datamodule, config


def statistics(detector: Detector) -> Statistics:
    """Copy what the layers hold."""
    return {
        name: (layer.get_buffer("running_mean").clone(), layer.get_buffer("running_var").clone())
        for name, layer in batch_norms(detector.autoencoder).items()
    }


def gather(
    detector: Detector, batches: Iterable[Tensor], precision: str, momentum: float | None
) -> Statistics:
    """Gather statistics from batches, by the weights as they are, as a training does.

    Args:
        detector: Its layers hold them afterwards; nothing else of it changes.
        batches: uint8 windows, (B, T, C, H, W) each.
        precision: The trainer's.
        momentum: See :func:`memguard.norm.gathering`.
    """
    with gathering(detector.autoencoder, momentum):
        _pass_through(detector, batches, precision)
    return statistics(detector)


def _pass_through(detector: Detector, batches: Iterable[Tensor], precision: str) -> None:
    halves = torch.autocast(detector.device.type, torch.bfloat16, enabled="bf16" in precision)
    with halves:
        for clips in batches:
            detector.paint(clips.to(detector.device))


def averaged(detector: Detector, batches: Iterable[Tensor], precision: str) -> Statistics:
    """Average over batches each batch's mean and variance, as torch does without a momentum.

    The variance between the batches' means is missing in this average.

    Args:
        detector: As :func:`gather` takes it.
        batches: As :func:`gather` takes them.
        precision: The trainer's.
    """
    for layer in batch_norms(detector.autoencoder).values():
        layer.reset_running_stats()
    with gathering(detector.autoencoder, momentum=1.0):
        for layer in batch_norms(detector.autoencoder).values():
            layer.momentum = None
        _pass_through(detector, batches, precision)
    return statistics(detector)


def offsets(found: Statistics, wanted: Statistics) -> dict[str, tuple[float, float]]:
    """Tell how far statistics are from others, layer by layer.

    Returns:
        By how many standard deviations the means are off (the root of the mean square over
        channels), and by what factor the variances are (the geometric mean of either direction).
    """
    apart = {}
    for name, (mean, variance) in found.items():
        true_mean, true_variance = wanted[name]
        means = ((mean - true_mean).square() / true_variance).mean().sqrt()
        factor = (variance / true_variance).log().abs().mean().exp()
        apart[name] = (float(means), float(factor))
    return apart
