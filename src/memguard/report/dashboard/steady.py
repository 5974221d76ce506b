"""Weights & Biases, without which a training goes on."""

import inspect
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import WandbLogger

from memguard.errors import ConfigError
from memguard.trainer_options import refused_by, unknown

log = logging.getLogger(__name__)


class SteadyWandbLogger(WandbLogger):
    """Goes offline where the server cannot be reached, and silent where W&B itself breaks down.

    Args:
        options: As :class:`WandbLogger` takes them.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._require_taken()
        # Lightning hands it over though W&B has given it up, and warns of it.
        self._wandb_init.pop("anonymous", None)
        self._lost = False

    def _require_taken(self) -> None:
        """Refuse options that W&B does not take, before it begins a run."""
        import wandb  # takes seconds, as in config.wandb_mode

        taken = inspect.signature(wandb.init).parameters
        for name in self._wandb_init:
            if name not in taken:
                raise ConfigError(unknown("logger.wandb.", name, taken))

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run; it is begun at the first call.

        Raises:
            ConfigError: W&B does not take a setting.
        """
        with refused_by("logger.wandb"):  # W&B looks at them when it begins
            return self._begun()

    def _begun(self) -> Any:
        import wandb  # as above

        if self._experiment is None and self._wandb_init.get("mode") == "offline":
            return self._begin_offline()
        try:
            return super().experiment
        except wandb.Error as error:
            log.warning(
                "W&B cannot be reached (%s), so that this run is kept on disk: send it later with "
                "wandb sync %s/wandb/offline-run-*.", str(error).splitlines()[0], self.save_dir,
            )  # fmt: skip
            self._wandb_init["mode"] = "offline"
            self._be_silent()
            return super().experiment

    def _begin_offline(self) -> Any:
        """Begin a run on disk, and say in one line where it is; W&B itself would take four."""
        self._be_silent()
        run = super().experiment
        log.info("W&B is offline: wandb sync %s sends this run.", Path(run.dir).parent)
        return run

    def _be_silent(self) -> None:
        import wandb  # as above

        settings = self._wandb_init.setdefault("settings", wandb.Settings())
        settings.silent = True

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log numbers."""
        self._try(lambda: super(SteadyWandbLogger, self).log_metrics(metrics, step))

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kw: Any) -> None:
        """Log pictures."""
        self._try(lambda: super(SteadyWandbLogger, self).log_image(key, images, step, **kw))

    def log_table(self, key: str, *given: Any, **named: Any) -> None:
        """Log a table."""
        self._try(lambda: super(SteadyWandbLogger, self).log_table(key, *given, **named))

    def keep(self, kind: str, path: Path) -> None:
        """Keep a file of the run as an artifact, named by its kind and the run."""
        from wandb import Artifact  # as above

        def send() -> None:
            artifact = Artifact(f"{kind}-{self.experiment.id}", type=kind)
            # Read from where it lies once it is uploaded; a copy would fill the user's cache.
            artifact.add_file(str(path), policy="immutable")
            self.experiment.log_artifact(artifact)

        self._try(send)

    def end(self, status: int) -> None:
        """End the run if there is one, marked as failed where the status is not 0."""
        if self._experiment is None:
            return
        self._try(lambda: self.experiment.finish(exit_code=status))

    def _try(self, send: Callable[[], None]) -> None:
        """Do without W&B from here on if its process or the disk it writes to is gone."""
        if self._lost:
            return
        import wandb  # as above

        try:
            send()
        except (wandb.Error, OSError) as error:
            self._lost = True
            log.warning(
                "W&B broke down (%s: %s). The run goes on without it; its curves, figures and "
                "tables are in %s.", type(error).__name__, error, self.save_dir,
            )  # fmt: skip
            # It would say so once more at the very end.
            with suppress(wandb.Error, OSError):
                wandb.teardown()
