"""The memory's items over a training: use, similarity and drift."""

from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from memguard.detection.detector import Detector
from memguard.model.memory.base import present
from memguard.report.dashboard.figure_sink import FigureSink
from memguard.report.plots.memory import MemoryHistory, memory_history


class MemoryWatch(pl.Callback):
    """Show after each epoch the use of the items, their similarity, and their drift.

    It logs, over the epoch's training queries and the items at its end:

    - ``memory/items``: the number of items,
    - ``memory/dead``: the number of items that no query is nearest to,
    - ``memory/entropy``: of the items' shares of queries, nats; ln M for equal use,
    - ``memory/cosine_mean``, ``memory/cosine_max``: between any two items,
    - ``memory/drift_mean``, ``memory/drift_max``: 1 − cosine of each item with itself at the end of
      the epoch before; of the items that were there.

    Args:
        folder: The run folder; ``figures/memory.png`` shows all epochs so far.
        figure_every: Epochs from one figure to the next. A figure takes half a second to draw; the
            last epoch always has one.
    """

    def __init__(self, folder: str, figure_every: int) -> None:
        self.sink = FigureSink(folder)
        self.figure_every = figure_every
        self._there: list[np.ndarray] = []
        self._shares: list[np.ndarray] = []
        self._drifts: list[np.ndarray] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count from 0."""
        self._begin(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the rest of an epoch that a checkpoint resumes, too."""
        self._begin(pl_module)

    def _begin(self, pl_module: pl.LightningModule) -> None:
        self._before = _items(pl_module).clone()
        self._counts = torch.zeros(len(self._before), device=self._before.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """Count the queries of each item."""
        self._counts += cast(Detector, pl_module).item_counts

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the statistics of the items, and draw them."""
        items = _items(pl_module)
        there = present(items)
        if not there.any():
            return
        counts = trainer.strategy.reduce(self._counts, reduce_op="sum")
        share = counts / counts.sum()
        new = ~present(self._before)
        drift = (1 - (items * self._before).sum(dim=1)).masked_fill(~there | new, torch.nan)
        pl_module.log_dict(item_statistics(share[there], drift[there & ~new], items[there]))
        self._there.append(there.cpu().numpy())
        self._shares.append(share.cpu().numpy())
        self._drifts.append(drift.cpu().numpy())
        epoch = trainer.current_epoch + 1
        due = epoch % self.figure_every == 0 or epoch == trainer.max_epochs
        if not trainer.is_global_zero or not due:
            return
        history = MemoryHistory(
            first_epoch=epoch + 1 - len(self._shares),
            there=np.stack(self._there),
            share=np.stack(self._shares),
            drift=np.stack(self._drifts),
            cosine=(items @ items.T).cpu().numpy(),
        )
        self.sink.histogram(trainer, "memory/use", self._shares[-1])
        self.sink.figure(trainer, "memory/items", memory_history(history), file="memory.png")


def _items(pl_module: pl.LightningModule) -> Tensor:
    return cast(Detector, pl_module).memory.items.detach()


def item_statistics(share: Tensor, drift: Tensor, items: Tensor) -> dict[str, Tensor]:
    """Summarise an epoch of a memory under the names of :class:`MemoryWatch`.

    Args:
        share: (M,), each item's share of the queries.
        drift: 1 − cosine with itself an epoch before, of each that was there.
        items: (M, C), unit rows.
    """
    statistics = {
        "memory/items": torch.tensor(float(len(items))),
        "memory/dead": share.eq(0).float().sum(),
        "memory/entropy": torch.special.entr(share).sum(),
    }
    if len(drift):
        statistics |= {"memory/drift_mean": drift.mean(), "memory/drift_max": drift.max()}
    if len(items) > 1:
        upper = torch.ones(len(items), len(items), device=items.device).triu(diagonal=1).bool()
        between = (items @ items.T)[upper]
        statistics |= {"memory/cosine_mean": between.mean(), "memory/cosine_max": between.max()}
    return statistics
