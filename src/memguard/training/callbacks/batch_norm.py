"""Batch norm's statistics: the mean and variance of each channel that it tests with.

A training keeps them running, so that its last twenty batches make up most of them. Where those
were not like the others, a test divides by the wrong variances, and the same weights predict worse.

Source: Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import cast

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed, nn

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.windows import ClipBatch
from memguard.detection.detector import Detector
from memguard.distributed import gathered_everywhere
from memguard.training.callbacks.averaging import averaged_weights
from memguard.training.callbacks.ending import ends_here, planned_epochs
from memguard.training.callbacks.progress import ProgressBar

BatchNorm = nn.BatchNorm2d | nn.SyncBatchNorm
STATISTICS = ("running_mean", "running_var")
# A GPU would have to be waited for at each.
BATCHES_BETWEEN_FETCHES = 50

log = logging.getLogger(__name__)


def batch_norms(network: nn.Module) -> dict[str, BatchNorm]:
    """Name the layers."""
    layers = network.named_modules()
    return {name: layer for name, layer in layers if isinstance(layer, BatchNorm)}


@contextmanager
def gathering(network: nn.Module, momentum: float | None = None) -> Iterator[None]:
    """Gather the statistics of the batches that go through a network within.

    Args:
        network: Its layers hold the statistics afterwards; nothing else of it changes. Where an
            error ends the gathering, or no batch comes, they hold those from before.
        momentum: The weight of a batch beside all before it, as in training. None: the statistics
            from before are forgotten, and the mean and variance are those of all values of all
            batches of all processes together.

    Example:
        >>> network = nn.BatchNorm2d(1)
        >>> with gathering(network):
        ...     for value in (1.0, 2.0, 6.0):
        ...         _ = network(torch.full((1, 1, 2, 2), value))
        >>> network.running_mean, network.running_var
        (tensor([3.]), tensor([4.6667]))
    """
    layers = list(batch_norms(network).values())
    before = [_State.of(layer) for layer in layers]
    pools = [_Pool(state) for state in before] if momentum is None else []
    for layer in layers:
        if momentum is None:
            layer.reset_running_stats()  # a value that is not finite would stay
        # With 1 a layer holds the statistics of the last batch, for its pool to take.
        layer.momentum = 1.0 if momentum is None else momentum
        layer.train()
    try:
        with torch.no_grad():
            yield
            _pool_all(pools)
    except BaseException:
        for state in before:
            state.restore_statistics()
        raise
    finally:
        for pool in pools:
            pool.detach()
        for state in before:
            state.restore_mode()


@dataclass(frozen=True)
class _State:
    """The state of a batch norm layer before the measurement."""

    layer: BatchNorm
    training: bool
    momentum: float | None
    buffers: dict[str, Tensor]

    @classmethod
    def of(cls, layer: BatchNorm) -> "_State":
        buffers = {name: buffer.clone() for name, buffer in layer.named_buffers()}
        return cls(layer, layer.training, layer.momentum, buffers)

    def restore_statistics(self) -> None:
        for name, buffer in self.buffers.items():
            self.layer.get_buffer(name).copy_(buffer)

    def restore_mode(self) -> None:
        self.layer.momentum = self.momentum
        self.layer.train(self.training)


class _Pool:
    """Joins the statistics of one layer's batches into those of all their values.

    Batches are joined as Chan, Golub and LeVeque (1979) do it, in double precision on the CPU, as
    the difference of E[x²] and E[x]² would cancel.

    Attributes:
        moments: (3, C), of each channel the count of values, their mean and the sum of their
            squared deviations from it.
    """

    def __init__(self, before: _State) -> None:
        self.moments = torch.zeros(3, before.layer.num_features, dtype=torch.float64)
        self._before = before
        self._waiting: list[Tensor] = []
        self._hook = before.layer.register_forward_hook(self._take)

    def _take(self, layer: nn.Module, inputs: tuple[Tensor], _output: Tensor) -> None:
        mean, variance = (layer.get_buffer(name).float() for name in STATISTICS)
        count = inputs[0].numel() // inputs[0].shape[1]
        together = distributed.get_world_size() if _is_shared(layer) else 1
        # Torch divides a batch by its count less one: this undoes it, for this process's share.
        deviations = variance * (count - 1 / together)
        self._waiting.append(torch.stack([torch.full_like(mean, count), mean, deviations]))
        if len(self._waiting) == BATCHES_BETWEEN_FETCHES:
            self.fetch()

    def fetch(self) -> None:
        """Take the moments that wait on the device."""
        if self._waiting:
            waiting = torch.stack(self._waiting).cpu().double()
            self.moments = pooled([self.moments, *waiting])
            self._waiting.clear()

    def write(self, moments: Tensor) -> None:
        """Give the layer the mean and variance that belong to moments; without values, its own."""
        count, mean, deviations = moments
        self._before.restore_statistics()
        if count.all():
            for name, value in zip(STATISTICS, (mean, deviations / count), strict=True):
                self._before.layer.get_buffer(name).copy_(value)

    def detach(self) -> None:
        """Leave the layer alone."""
        self._hook.remove()


def _is_shared(layer: nn.Module) -> bool:
    """Return whether a batch's statistics are those of all processes' batches."""
    shared = isinstance(layer, nn.SyncBatchNorm)
    return shared and distributed.is_available() and distributed.is_initialized()


def pooled(parts: Sequence[Tensor]) -> Tensor:
    """Join the moments of parts of a population into those of the whole, exactly.

    Args:
        parts: (3, C) each: count, mean, and sum of squared deviations from the mean.

    Returns:
        (3, C); zeros where there are no values.

    Example:
        >>> pooled([torch.tensor([[1.0], [2.0], [0.0]]), torch.tensor([[3.0], [6.0], [0.0]])])
        tensor([[ 4.],
                [ 5.],
                [12.]])
    """
    counts, means, deviations = torch.stack(list(parts), dim=1)
    count = counts.sum(dim=0)
    mean = (counts * means).sum(dim=0) / count.clamp(min=1)
    apart = (counts * (means - mean).square()).sum(dim=0)
    return torch.stack([count, mean, deviations.sum(dim=0) + apart])


def _pool_all(pools: Sequence[_Pool]) -> None:
    """Give each layer the statistics of all batches of all processes."""
    for pool in pools:
        pool.fetch()
    by_process = gathered_everywhere([pool.moments for pool in pools])
    for number, pool in enumerate(pools):
        pool.write(pooled([moments[number] for moments in by_process]))


class MeasuredNorm(pl.Callback):
    """Measures the statistics over the windows of an epoch, once the last step is taken.

    It costs about a third of an epoch. Guard and alarm find their levels afterwards, in the
    validation that follows.

    Args:
        each_epoch: Measure at the end of every epoch: a metric may end the training there, or
            choose the checkpoint, and compares epochs that are measured alike.
    """

    def __init__(self, *, each_epoch: bool = False) -> None:
        self._each_epoch = each_epoch
        self._measured_after = -1  # steps

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """Measure, by the weights and items that the training ends with."""
        if not (ends_here(trainer) or (self._each_epoch and trainer.is_last_batch)):
            return
        self._measured_after = trainer.global_step
        detector = cast(Detector, pl_module)
        with (
            averaged_weights(trainer, detector),
            gathering(detector.autoencoder),
            trainer.precision_plugin.forward_context(),
        ):
            for found in _epoch_again(trainer):
                detector.predict(trainer.strategy.batch_to_device(found.frames))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn where something ended the training early, which was not known at its last step."""
        done, planned = trainer.current_epoch, planned_epochs(trainer)
        of_planned = "" if planned == -1 else f" of {planned}"
        if trainer.global_step != self._measured_after:
            pl.utilities.rank_zero_warn(
                f"The training was ended after {done}{of_planned} epochs. Batch norm was not "
                "measured, and tests with the statistics of its last batches; nor was this the end "
                f"of its schedule. trainer.max_epochs={done} trains as long to its end."
            )


def _epoch_again(trainer: pl.Trainer) -> Iterable[ClipBatch]:
    """Yield as many batches as an epoch has; limits may shorten it."""
    data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
    count = int(trainer.num_training_batches)
    batches = islice(data.all_training_windows(), count)
    if trainer.is_global_zero:
        log.info("Batch norm is measured over %d batches of training windows", count)
    bar = trainer.progress_bar_callback
    return bar.once_more(batches, "Batch norm") if isinstance(bar, ProgressBar) else batches
