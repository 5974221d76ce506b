"""Stop a training whose loss, weights or memory are no numbers any more."""

from collections.abc import Iterator
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor

from memguard.config.naming import sweep_folder
from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.windows import ClipBatch
from memguard.detection.detector import Detector
from memguard.errors import TrainingError
from memguard.training.callbacks.preemption import SafeCheckpoints
from memguard.training.checkpoints import spoilt_weights

# So many steps pass on a GPU before its flags are read: each read waits for the device.
STEPS_BETWEEN_READS = 50


class StopAtNaN(pl.Callback):
    """Stop a training before it saves a loss or a memory that is not finite.

    A GPU records the flag of each step, and the flags are read together now and then: each read
    waits for the device.
    """

    def __init__(self) -> None:
        self._flags: list[tuple[int, ClipBatch, Tensor]] = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: ClipBatch,
        batch_idx: int,
    ) -> None:
        """Record whether loss and memory are finite, and read the records if it is time."""
        detector = cast(Detector, pl_module)
        finite = outputs["loss"].isfinite() & detector.memory.items.isfinite().all()
        self._flags.append((trainer.global_step, batch._replace(frames=torch.empty(0)), finite))
        if pl_module.device.type == "cpu" or len(self._flags) >= STEPS_BETWEEN_READS:
            self._require_finite(trainer)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Read the flags, and refuse to save weights or items that are not finite."""
        self._require_finite(trainer)
        if bad := next(spoilt_weights(checkpoint["state_dict"]), None):
            raise TrainingError(
                f"After step {trainer.global_step} there are values in {bad} that are no "
                f"numbers, so it is not saved{_remedy(trainer)}"
            )

    def _require_finite(self, trainer: pl.Trainer) -> None:
        flags, self._flags = self._flags, []
        if not flags or bool(torch.stack([finite for _, _, finite in flags]).all()):
            return
        step, batch = next((step, batch) for step, batch, finite in flags if not finite)
        raise TrainingError(
            f"The loss or the memory is no number any more after step {step}, whose windows ended "
            f"with {', '.join(_places(trainer, batch))}{_remedy(trainer)}"
        )


def _places(trainer: pl.Trainer, batch: ClipBatch) -> Iterator[str]:
    data = cast(ClipDataModule, trainer.datamodule)  # type: ignore[attr-defined]
    for video, frame in zip(batch.video.tolist(), batch.frame.tolist(), strict=True):
        yield f"frame {frame} of {data.benchmark.train[video].source}"


def _remedy(trainer: pl.Trainer) -> str:
    keeper = trainer.checkpoint_callback
    good = keeper.newest if isinstance(keeper, SafeCheckpoints) else None
    alone = sweep_folder() is None  # a sweep's jobs would all begin from it
    from_there = f" with checkpoint={good}" if good and good.exists() and alone else ""
    return (
        f": look at these frames, and train again{from_there} with a lower optimizer.lr or "
        "trainer.precision=32-true."
    )
