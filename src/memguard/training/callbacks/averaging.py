"""An exponential moving average of the weights, by Lightning's callback."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import pytorch_lightning as pl
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import Tensor

from memguard.errors import CheckpointError

AVERAGED_KEY = "averaging_state"  # of a checkpoint, as Lightning names it


class AveragedWeights(EMAWeightAveraging):
    """Validate, save and test with an exponential moving average of the weights.

    The weights alone are averaged: items that queries write, batch norm's statistics, the guard's
    γ and the alarm's level are those of the training, found with the averaged weights. A mean of
    items would not have length 1.

    Args:
        decay: Share of the average that stays at each step.
        options: Further options of Lightning's callback.

    Example:
        >>> averaging = AveragedWeights(decay=0.99)
        >>> averaging.should_update(step_idx=0)
        True
    """

    def __init__(self, decay: float, **options: Any) -> None:
        super().__init__(decay=decay, use_buffers=False, **options)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the averaged weights for the callbacks that follow."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train on with the weights of the last step."""
        if self._average_model is not None:
            self._swap_models(pl_module)

    @contextmanager
    def applied(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Iterator[None]:
        """Predict with the averaged weights within.

        Args:
            trainer: Within a hook of its training.
            pl_module: The detector that it trains.
        """
        # A callback that comes first finds an average without the newest step.
        self.on_train_batch_end(trainer, pl_module, None, None, 0)
        self._swap_models(pl_module)
        try:
            yield
        finally:
            self._swap_models(pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the averaged weights as the detector's, and those of the last step beside them."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        last = checkpoint.get("current_model_state")
        if last is not None and self._average_model is not None:
            weights = dict(self._average_model.module.named_parameters())
            checkpoint["state_dict"] = last | {name: weights[name].detach() for name in weights}

    def _swap_models(self, pl_module: pl.LightningModule) -> None:
        for average, current in self._pairs(pl_module):
            before = average.clone()
            average.copy_(current)
            current.copy_(before)

    def _copy_average_to_current(self, pl_module: pl.LightningModule) -> None:
        for average, current in self._pairs(pl_module):
            current.copy_(average)

    def _pairs(self, pl_module: pl.LightningModule) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each averaged weight with that of the last step."""
        averaged = cast(pl.LightningModule, self._average_model).parameters()
        for average, current in zip(averaged, pl_module.parameters(), strict=True):
            yield average.data, current.data


@contextmanager
def averaged_weights(trainer: pl.Trainer, pl_module: pl.LightningModule) -> Iterator[None]:
    """Predict with the averaged weights within, where the training averages them.

    Args:
        trainer: Within a hook of its training.
        pl_module: The detector that it trains.
    """
    averaging = _averaging(trainer)
    with averaging.applied(trainer, pl_module) if averaging else nullcontext():
        yield


def require_same_averaging(trainer: pl.Trainer, checkpoint: Mapping[str, Any]) -> None:
    """Refuse to resume a training of averaged weights without them, and the reverse.

    Args:
        trainer: As it loads the checkpoint.
        checkpoint: The loaded content.

    Raises:
        CheckpointError: The one averages its weights and the other does not.
    """
    begun, now = AVERAGED_KEY in checkpoint, _averaging(trainer) is not None
    if begun != now:
        remedy = "add callbacks=ema" if begun else "leave callbacks=ema out"
        raise CheckpointError(
            f"{trainer.ckpt_path} was trained with{'' if begun else 'out'} averaged weights: "
            f"{remedy} to resume."
        )


def _averaging(trainer: pl.Trainer) -> AveragedWeights | None:
    callbacks = cast(list[pl.Callback], trainer.callbacks)  # type: ignore[attr-defined]
    return next((c for c in callbacks if isinstance(c, AveragedWeights)), None)
