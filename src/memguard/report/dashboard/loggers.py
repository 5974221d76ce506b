"""Loggers: Weights & Biases, without which a training continues, and TensorBoard."""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger

from memguard.config.sentences import unknown
from memguard.config.trainer import refused_by
from memguard.errors import ConfigError

log = logging.getLogger(__name__)


def _require_known(
    group: str, options: Iterable[str], takers: Sequence[Callable[..., Any]]
) -> None:
    """Refuse options that none of some functions takes.

    Raises:
        ConfigError: The message names the option and the nearest one.
    """
    known = {name for taker in takers for name in inspect.signature(taker).parameters}
    for name in options:
        if name not in known:
            raise ConfigError(unknown(group, name, known - {"self", "kwargs"}))


class StrictTensorBoardLogger(TensorBoardLogger):
    """Log to TensorBoard, and refuse an option that it does not take before the run begins.

    Args:
        options: The options of Lightning's ``TensorBoardLogger``.

    Raises:
        ConfigError: The message names the option and the nearest one.
    """

    def __init__(self, **options: Any) -> None:
        from torch.utils.tensorboard import SummaryWriter  # takes seconds to import

        _require_known("logger.tensorboard.", options, [TensorBoardLogger, SummaryWriter])
        super().__init__(**options)


class ResilientWandbLogger(WandbLogger):
    """Log to Weights & Biases: offline without its server, and not at all once W&B itself fails.

    Args:
        options: The options of Lightning's ``WandbLogger``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._require_taken()
        # Lightning passes it, and W&B warns that it is deprecated.
        self._wandb_init.pop("anonymous", None)
        self._lost = False

    def _require_taken(self) -> None:
        """Refuse options that W&B does not take, before it begins a run."""
        import wandb  # takes seconds to import

        _require_known("logger.wandb.", self._wandb_init, [wandb.init])

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run; the first access begins it.

        Raises:
            ConfigError: W&B does not take a setting.
        """
        with refused_by("logger.wandb"):  # W&B looks at them when it begins
            return self._begun()

    def _begun(self) -> Any:
        import wandb  # takes seconds to import

        if self._experiment is None and self._wandb_init.get("mode") == "offline":
            return self._begin_offline()
        try:
            return super().experiment
        except wandb.Error as error:
            log.warning(
                "W&B cannot be reached (%s), so this run stays on disk: send it later with "
                "wandb sync %s/wandb/offline-run-*.", str(error).splitlines()[0], self.save_dir,
            )  # fmt: skip
            self._wandb_init["mode"] = "offline"
            self._be_silent()
            return super().experiment

    def _begin_offline(self) -> Any:
        """Begin a run on disk, and log where it is in one line; W&B itself needs four."""
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
        self._try(lambda: super(ResilientWandbLogger, self).log_metrics(metrics, step))

    def log_image(self, key: str, images: list[Any], step: int | None = None, **kw: Any) -> None:
        """Log pictures."""
        self._try(lambda: super(ResilientWandbLogger, self).log_image(key, images, step, **kw))

    def log_table(self, key: str, *given: Any, **named: Any) -> None:
        """Log a table."""
        self._try(lambda: super(ResilientWandbLogger, self).log_table(key, *given, **named))

    def log_file(self, kind: str, path: Path) -> None:
        """Log a file of the run as an artifact, named by its kind and the run."""
        from wandb import Artifact  # as above

        def send() -> None:
            artifact = Artifact(f"{kind}-{self.experiment.id}", type=kind)
            # W&B uploads the file from its place; a copy would fill the user's cache.
            artifact.add_file(str(path), policy="immutable")
            self.experiment.log_artifact(artifact)

        self._try(send)

    def log_page(self, key: str, path: Path) -> None:
        """Log a page of HTML as a panel."""
        from wandb import Html  # as above

        self._try(lambda: self.experiment.log({key: Html(str(path), inject=False)}))

    def end(self, status: int) -> None:
        """End the run if there is one, marked as failed unless the status is 0."""
        if self._experiment is None:
            return
        self._try(lambda: self.experiment.finish(exit_code=status))

    def _try(self, send: Callable[[], None]) -> None:
        """Send something, and stop logging for good if W&B's process or its disk is gone."""
        if self._lost:
            return
        import wandb  # as above

        try:
            send()
        except (wandb.Error, OSError) as error:
            self._lost = True
            log.warning(
                "W&B broke down (%s: %s). The run continues without it; its curves, figures and "
                "tables are in %s.", type(error).__name__, error, self.save_dir,
            )  # fmt: skip
            # W&B would report it again at the end.
            with suppress(wandb.Error, OSError):
                wandb.teardown()
