"""Batch norm's statistics: the mean and variance of each channel that it tests with.

A training keeps them running, so that its last twenty batches make up most of them. Where those
were not like the others, a test divides by the wrong variances, and the same weights paint worse.

Source: Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import cast

import pytorch_lightning as pl
import torch
from torch import nn

from memguard.data.datamodule import ClipDataModule
from memguard.data.windows import ClipBatch
from memguard.detector import Detector
from memguard.report.progress import ProgressBar

BatchNorm = nn.BatchNorm2d | nn.SyncBatchNorm

log = logging.getLogger(__name__)


def batch_norms(network: nn.Module) -> dict[str, BatchNorm]:
    """Name the layers."""
    layers = network.named_modules()
    return {name: layer for name, layer in layers if isinstance(layer, BatchNorm)}


@contextmanager
def gathering(network: nn.Module, momentum: float | None = None) -> Iterator[None]:
    """Gather the statistics of the batches that go through a network within.

    Args:
        network: Its layers hold them afterwards; nothing else of it changes.
        momentum: What a batch counts beside all before it; None: what was there is forgotten, and
            all batches count alike.

    Example:
        >>> network = nn.BatchNorm2d(1)
        >>> with gathering(network):
        ...     for value in (1.0, 2.0, 6.0):
        ...         _ = network(torch.full((1, 1, 2, 2), value))
        >>> network.running_mean
        tensor([3.])
    """
    layers = list(batch_norms(network).values())
    before = [(layer.training, layer.momentum) for layer in layers]
    for layer in layers:
        if momentum is None:
            layer.reset_running_stats()
        layer.momentum = momentum
        layer.train()
    try:
        with torch.no_grad():
            yield
    finally:
        for layer, (training, usual) in zip(layers, before, strict=True):
            layer.momentum = usual
            layer.train(training)


class MeasuredNorm(pl.Callback):
    """Measures the statistics over all training windows, once the last step is taken.

    It costs about a third of an epoch. Guard and alarm find their levels afterwards, in the
    validation that follows.
    """

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """Measure, by the weights and items that the training ends with."""
        if not trainer.is_last_batch or trainer.current_epoch + 1 != trainer.max_epochs:
            return
        detector = cast(Detector, pl_module)
        with gathering(detector.autoencoder), trainer.precision_plugin.forward_context():
            for found in _epoch_again(trainer):
                detector.paint(trainer.strategy.batch_to_device(found.frames))
        _average(trainer, detector.autoencoder)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn where something ended the training early, which was not known at its last step."""
        done, planned = trainer.current_epoch, int(trainer.max_epochs or 0)
        if done < planned:
            pl.utilities.rank_zero_warn(
                f"The training was ended after {done} of {planned} epochs. Batch norm was not "
                "measured, and tests with the statistics of its last batches; nor had the learning "
                f"rate come down to 0. trainer.max_epochs={done} trains as long to its end."
            )


def _epoch_again(trainer: pl.Trainer) -> Iterable[ClipBatch]:
    """As many batches as an epoch has, which may be told to be shorter."""
    data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
    count = int(trainer.num_training_batches)
    batches = islice(data.all_training_windows(), count)
    if trainer.is_global_zero:
        log.info("Batch norm is measured over %d batches of training windows", count)
    bar = trainer.progress_bar_callback
    return bar.once_more(batches, "Batch norm") if isinstance(bar, ProgressBar) else batches


def _average(trainer: pl.Trainer, network: nn.Module) -> None:
    """Give every process the mean over all of them, each of which had a share of the windows."""
    for layer in batch_norms(network).values():
        for name in ("running_mean", "running_var"):
            own = layer.get_buffer(name)
            own.copy_(trainer.strategy.reduce(own.clone(), reduce_op="mean"))
