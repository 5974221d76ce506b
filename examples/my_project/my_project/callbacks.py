"""Callbacks: one watches the items of the memory, one is a metric of the test."""

from typing import Any

import pytorch_lightning as pl
from torchmetrics.functional.classification import binary_precision_recall_curve


class ItemOverlap(pl.Callback):
    """Log how similar the two most similar items are."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log memory/overlap, a cosine."""
        items = pl_module.memory.items
        pl_module.log("memory/overlap", (items @ items.mT).fill_diagonal_(-1).max())


class BestF1(pl.Callback):
    """Log F1 at the best threshold of the scores."""

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Log test/best_f1, which is in metrics.json with the metrics of memguard."""
        frames = pl_module.joined_frames()
        labels = frames["label"].long()
        precision, recall, _ = binary_precision_recall_curve(
            frames["score"], labels, ignore_index=-1
        )
        f1 = 2 * precision * recall / (precision + recall)
        pl_module.log("test/best_f1", f1.nan_to_num().max())
