"""The end of a training: its last step, wherever in an epoch it lies, leaves a whole model.

Batch norm's statistics, the guard's γ and the alarm's level are found at the end of a training, so
that each training has to end in the same way, whichever of its limits is reached first.
"""

import logging
from math import ceil, inf

import pytorch_lightning as pl

log = logging.getLogger(__name__)


def ends_here(trainer: pl.Trainer) -> bool:
    """Return whether the step that was just taken is the training's last one.

    Args:
        trainer: Within its hook ``on_train_batch_end``.
    """
    steps, epoch = trainer.global_step, trainer.current_epoch
    if trainer.max_steps != -1 and steps >= trainer.max_steps:
        return True
    if trainer.is_last_batch and epoch + 1 == trainer.max_epochs:
        return True
    below_minimum = epoch < (trainer.min_epochs or 0) or steps < (trainer.min_steps or 0)
    return bool(trainer.should_stop) and not below_minimum


def planned_steps(trainer: pl.Trainer) -> int:
    """Count the steps of the epochs that are planned, before any other limit; -1: no epochs are."""
    epochs = int(trainer.max_epochs or 0)
    return -1 if epochs == -1 else epochs * _steps_per_epoch(trainer)


def planned_epochs(trainer: pl.Trainer) -> int:
    """Count the epochs that the training takes, the last of them perhaps in part."""
    epochs = int(trainer.max_epochs or 0)
    if trainer.max_steps == -1:
        return epochs
    in_steps = ceil(trainer.max_steps / _steps_per_epoch(trainer))
    return in_steps if epochs == -1 else min(epochs, in_steps)


def _steps_per_epoch(trainer: pl.Trainer) -> int:
    return max(ceil(trainer.num_training_batches / trainer.accumulate_grad_batches), 1)


class WholeEnd(pl.Callback):
    """Has the last step of a training validated, as the last one of an epoch is.

    Where ``trainer.max_steps`` or ``trainer.max_time`` ends a training within an epoch, Lightning
    leaves the validation out. It has to come before whatever else looks at the end of a step.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn where the epochs end before the steps that were requested."""
        planned = planned_steps(trainer)
        if planned != -1 and trainer.max_steps > planned:
            pl.utilities.rank_zero_warn(
                f"trainer.max_epochs={trainer.max_epochs} ends this training after {planned} of "
                f"the {trainer.max_steps} steps of trainer.max_steps: set trainer.max_epochs=-1 "
                "to take all of them."
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        """Request the validation."""
        if not ends_here(trainer):
            return
        trainer.should_stop = True
        trainer.check_val_every_n_epoch = 1
        # A stopped training first takes its minimum of steps; this one has ended.
        trainer.fit_loop.min_epochs = None
        trainer.fit_loop.epoch_loop.min_steps = None

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn where the time ran out before the end that the training was planned with."""
        planned = trainer.estimated_stepping_batches
        if trainer.global_step < planned < inf and _time_is_up(trainer):
            pl.utilities.rank_zero_warn(
                f"trainer.max_time ended the training after {trainer.global_step} of {planned} "
                "steps, before the end of its schedule: trainer.max_steps="
                f"{trainer.global_step} trains as long to the end of its schedule."
            )


def _time_is_up(trainer: pl.Trainer) -> bool:
    timers = [c for c in trainer.callbacks if isinstance(c, pl.callbacks.Timer)]  # type: ignore[attr-defined]
    return any((timer.time_remaining() or 0) <= 0 for timer in timers)
