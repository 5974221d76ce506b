"""Progress: bars for those who watch, and a line per epoch for those who read the log later."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import pytorch_lightning as pl
from pytorch_lightning.callbacks import RichProgressBar

from memguard.training.callbacks.ending import planned_epochs

REFRESHES_PER_SECOND = 10
SECONDS_BETWEEN_READS = 0.5

Batch = TypeVar("Batch")

log = logging.getLogger(__name__)


class ProgressBar(RichProgressBar):
    """Lightning's bars, with the frames that the guard wrote shown during a test as well."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=REFRESHES_PER_SECOND)
        self._read_at = -SECONDS_BETWEEN_READS
        self._shown: dict[str, int | str | float | dict[str, float]] = {}

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Read the metrics now and then: each read waits for a GPU.

        The logger's number of the run is left out: the folder's name identifies it.
        """
        if time.monotonic() >= self._read_at + SECONDS_BETWEEN_READS:
            metrics = super().get_metrics(trainer, pl_module)
            self._shown = {name: value for name, value in metrics.items() if name != "v_num"}
            self._read_at = time.monotonic()
        return self._shown

    def once_more(self, batches: Iterable[Batch], purpose: str) -> Iterator[Batch]:
        """Move the training's bar while its batches go by again, and then put it back.

        Args:
            batches: As many as an epoch has.
            purpose: The bar's description meanwhile.
        """
        if self.is_disabled or not self.progress:
            yield from batches
            return
        bar = self.train_progress_bar
        description, completed = bar.description, bar.completed
        for done, batch in enumerate(batches):
            self.progress.update(bar.id, description=purpose, completed=done)
            yield batch
        self.progress.update(bar.id, description=description, completed=completed)

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset the counts."""
        self._written = 0

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Advance the bar; show the memory updates so far and the PSNR of the last frames.

        Lightning's own columns show metrics while training alone.
        """
        self._written += int(outputs["written"].sum())
        if self.is_enabled and self.progress and self.test_progress_bar_id is not None:
            psnr = float(outputs["psnr"].mean())
            self.progress.update(
                self.test_progress_bar_id,
                description=f"Testing: {psnr:.1f} dB, {self._written} memory updates",
            )
        super().on_test_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the epoch and its metrics."""
        self._read_at = -SECONDS_BETWEEN_READS  # an epoch ends with its own numbers
        super().on_train_epoch_end(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        known = ("train/loss", "train/psnr", "val/psnr")
        values = [
            f"{n} {trainer.callback_metrics[n]:.4g}" for n in known if n in trainer.callback_metrics
        ]
        planned = _planned_epochs(trainer)
        of = f" of {planned}" if planned else ""
        log.info("Epoch %d%s: %s", trainer.current_epoch + 1, of, ", ".join(values))

    def _get_train_description(self, current_epoch: int) -> str:
        """Count epochs from 1 to their number, as the log does; Lightning counts from 0."""
        planned = _planned_epochs(self.trainer)
        text = f"Epoch {current_epoch + 1}" + (f"/{planned}" if planned else "")
        # The bars stay aligned while a validation's bar is below.
        return text.ljust(len(self.validation_description))


def _planned_epochs(trainer: pl.Trainer) -> int | None:
    """The number of epochs to train; None without a limit."""
    limited = trainer.max_epochs is not None and trainer.max_epochs > 0
    return planned_epochs(trainer) if limited else None
