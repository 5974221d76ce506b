"""What becomes of the memory's items as a training goes on."""

from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from memguard.detection.detector import Detector
from memguard.report.dashboard.figure_sink import Board
from memguard.report.plots import MemoryHistory, memory_history


class MemoryWatch(pl.Callback):
    """Shows after each epoch how the items are used, how alike they are, and how far they moved.

    It logs, over the epoch's training queries and the items at its end:

    - ``memory/dead``: items that no query was nearest to,
    - ``memory/entropy``: of the items' shares of queries, nats; ln M where all are used alike,
    - ``memory/cosine_mean``, ``memory/cosine_max``: between any two items,
    - ``memory/drift_mean``, ``memory/drift_max``: 1 − cosine of each item with itself at the end of
      the epoch before.

    Args:
        folder: The run folder; ``figures/memory.png`` shows all epochs so far.
        figure_every: Epochs from one figure to the next, each of which takes half a second to draw;
            the last epoch has one in any case.
    """

    def __init__(self, folder: str, figure_every: int) -> None:
        self.board = Board(folder)
        self.figure_every = figure_every
        self._shares: list[np.ndarray] = []
        self._drifts: list[np.ndarray] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count anew."""
        self._begin(pl_module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count what is left of an epoch that goes on, too."""
        self._begin(pl_module)

    def _begin(self, pl_module: pl.LightningModule) -> None:
        self._before = _items(pl_module).clone()
        self._counts = torch.zeros(len(self._before), device=self._before.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """Count what the memory was asked."""
        self._counts += cast(Detector, pl_module).item_counts

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what became of the items."""
        items = _items(pl_module)
        if len(items) == 0:
            return
        counts = trainer.strategy.reduce(self._counts, reduce_op="sum")
        share = counts / counts.sum()
        drift = 1 - (items * self._before).sum(dim=1)
        pl_module.log_dict(item_statistics(share, drift, items))
        self._shares.append(share.cpu().numpy())
        self._drifts.append(drift.cpu().numpy())
        epoch = trainer.current_epoch + 1
        due = epoch % self.figure_every == 0 or epoch == trainer.max_epochs
        if not trainer.is_global_zero or not due:
            return
        history = MemoryHistory(
            first_epoch=epoch + 1 - len(self._shares),
            share=np.stack(self._shares),
            drift=np.stack(self._drifts),
            cosine=(items @ items.T).cpu().numpy(),
        )
        self.board.histogram(trainer, "memory/use", self._shares[-1])
        self.board.figure(trainer, "memory/items", memory_history(history), file="memory.png")


def _items(pl_module: pl.LightningModule) -> Tensor:
    return pl_module.memory.items  # type: ignore[union-attr, return-value]


def item_statistics(share: Tensor, drift: Tensor, items: Tensor) -> dict[str, Tensor]:
    """Sum up an epoch of a memory; the names are those of :class:`MemoryWatch`.

    Args:
        share: (M,), each item's share of the queries.
        drift: (M,), how far each moved.
        items: (M, C), unit rows.
    """
    statistics = {
        "memory/dead": share.eq(0).float().sum(),
        "memory/entropy": torch.special.entr(share).sum(),
        "memory/drift_mean": drift.mean(),
        "memory/drift_max": drift.max(),
    }
    if len(items) > 1:
        upper = torch.ones(len(items), len(items), device=items.device).triu(diagonal=1).bool()
        between = (items @ items.T)[upper]
        statistics |= {"memory/cosine_mean": between.mean(), "memory/cosine_max": between.max()}
    return statistics
