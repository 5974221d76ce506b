"""Pruning: a job of a search that does worse than earlier ones ends early."""

import logging

import optuna
import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig

from memguard.sweep.jobs import Pruned
from memguard.sweep.study import trial_of_job

log = logging.getLogger(__name__)


class Pruning(pl.Callback):
    """Report each validation to the study, and end the job where the pruner says so.

    Args:
        pruner: Of Optuna's, compares the job with the others of its study.
        metric: The metric of the validations, more is better. A metric that validations do not
            have, such as one of the test, prunes no job.
    """

    def __init__(self, pruner: optuna.pruners.BasePruner, metric: str) -> None:
        self._pruner, self._metric = pruner, metric
        self._trial: optuna.Trial | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find the trial of this job in the study; the first process alone reports."""
        if trainer.is_global_zero:
            self._trial = trial_of_job(HydraConfig.get(), self._pruner)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report the metric of this epoch.

        Raises:
            Pruned: The job is worse than the pruner accepts.
        """
        if trainer.sanity_checking:
            return
        reason = self._reason_to_end(trainer) if self._trial else None
        reason = trainer.strategy.broadcast(reason)
        if reason:
            raise Pruned(reason)

    def _reason_to_end(self, trainer: pl.Trainer) -> str | None:
        value = trainer.callback_metrics.get(self._metric)
        if value is None or self._trial is None:
            return None
        epoch = trainer.current_epoch
        self._trial.report(float(value), epoch)
        if not self._trial.should_prune():
            return None
        return f"{self._metric} is {float(value):.4g} after {epoch + 1} epochs."
