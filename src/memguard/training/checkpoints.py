"""Checkpoints: weights, items and the configuration they were trained with, in one file."""

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from traceback import walk_tb
from typing import Any, cast

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from memguard.config.sentences import shown
from memguard.config.trust import NOBODY, NotTrustedError, Trust, trust_of
from memguard.errors import CheckpointError, UserError
from memguard.training.buildable import require_buildable
from memguard.training.callbacks.averaging import require_same_averaging
from memguard.training.moved import FIXED
from memguard.training.resume import (
    DENOISER_SHAPE_KEYS,
    SHAPE_KEYS,
    Difference,
    differences,
    is_finished,
    refusal,
)
from memguard.training.settings import (
    GROUPS,
    plain_settings,
    read_settings,
    require_groups,
    require_within_limits,
)
from memguard.training.untrusted import NotPlainError

log = logging.getLogger(__name__)

CONFIG_KEY = "memguard_config"
# Expressions in the configuration of a file, whose values are not known; by key.
UNKNOWN_KEY = "memguard_unknown"

PROCESSES_KEY = "memguard_processes"
FPS_KEY = "memguard_fps"  # of the training videos; earlier versions have none
DENOISER = "denoiser."  # begins the names of its weights, in its own checkpoint as in a detector's

# Lightning's modules that hand a checkpoint's states out to their owners.
RESTORING = (
    "pytorch_lightning.trainer.connectors.checkpoint_connector",
    "pytorch_lightning.utilities.migration.utils",
)

# Where Lightning keeps the counts of a training that it saves beside them.
PROGRESS = {
    "epoch": ("fit_loop", "epoch_progress", "current", "completed"),
    "global_step": (
        *("fit_loop", "epoch_loop.automatic_optimization.optim_progress"),
        *("optimizer", "step", "total", "completed"),
    ),
}


def plain_config(config: DictConfig) -> dict[str, Any]:
    """Return the resolved settings of the experiment, without those of the run, in plain types."""
    tree = cast(dict[str, Any], OmegaConf.to_container(config, resolve=True))
    return {k: v for k, v in tree.items() if k not in ("logger", "callbacks", "checkpoint")}


class RememberConfig(pl.Callback):
    """Puts the configuration into every checkpoint, so that it can be evaluated by itself."""

    def __init__(self, config: DictConfig) -> None:
        self._config = plain_settings(config)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add it."""
        checkpoint[CONFIG_KEY] = self._config
        checkpoint[PROCESSES_KEY] = trainer.world_size
        checkpoint[FPS_KEY] = getattr(trainer.datamodule, "fps", None)  # type: ignore[attr-defined]

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse to resume with another number of processes, and warn of a finished training.

        Raises:
            CheckpointError: Each step would take another number of windows, or other weights.
        """
        path, before, now = trainer.ckpt_path, checkpoint.get(PROCESSES_KEY), trainer.world_size
        if before not in (None, now):
            raise CheckpointError(
                f"{path} was trained by {shown(before)} processes, but this command runs as {now}: "
                f"each adds data.batch_size windows to a step. Resume with {shown(before)}, or "
                f"begin a new training from its weights: weights={path} instead of checkpoint."
            )
        require_same_averaging(trainer, checkpoint)
        if is_finished(checkpoint, trainer.max_epochs, trainer.max_steps):
            pl.utilities.rank_zero_warn(
                f"The training of {path} is finished: no step of it is left, and nothing is "
                f"trained. weights={path} instead of checkpoint begins a new training from it."
            )


class WholeFiles(TorchCheckpointIO):
    """Write a checkpoint to a temporary file beside its place, and rename it.

    Lightning writes to the system's folder for temporary files. That may be another disk, and the
    copy from there can be cut short. If a checkpoint cannot be written, on a full disk for example,
    a warning says so and the training continues; the last checkpoint stays.

    Attributes:
        written: Whether the last one could be written, by the process that writes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written = True

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write it, or warn that it cannot be."""
        self.written = False
        place = Path(path)
        beside = place.with_name(place.name + ".part")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(place)
            self.written = True
        except (OSError, RuntimeError) as error:  # torch's writer raises the latter
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            kept = f"; the last good one is still {place}" if place.exists() else ""
            log.warning(
                "The checkpoint %s could not be written (%s)%s. Training continues: make room on "
                "its disk before the next one.", place, _first_line(error), kept,
            )  # fmt: skip


@contextmanager
def damage_reported(path: str | None) -> Iterator[None]:
    """Turn errors of Lightning while it restores a training into a sentence.

    Args:
        path: The checkpoint; None for a training that begins.

    Raises:
        CheckpointError: The states in the file fit no training.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # whatever the parts of Lightning and torch meet
        stack = (frame.f_globals.get("__name__") for frame, _ in walk_tb(error.__traceback__))
        if path is None or not any(name in RESTORING for name in stack):
            raise
        raise CheckpointError(
            f"{path}: its training cannot be resumed ({type(error).__name__}: "
            f"{shown(_first_line(error))}): this file is damaged or was changed. "
            f"weights={path} instead of checkpoint begins a new training from its weights."
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def read_checkpoint(
    path: Path,
    key: str = "checkpoint",
    *,
    trust: Trust = NOBODY,
    paths: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Read a checkpoint of memguard, without running anything that a file may ask for.

    Args:
        path: Where it lies.
        key: The setting that named it.
        trust: Whose classes its configuration may name beside memguard's own.
        paths: The folders of whoever reads it; by default this machine's.

    Returns:
        The content of the file; under :data:`CONFIG_KEY` the configuration as plain values, and
        under :data:`UNKNOWN_KEY` the expressions that were there instead of a value, by key.

    Raises:
        CheckpointError: There is no such file, it is not a whole checkpoint of memguard, or its
            configuration asks for something else than memguard's own classes.
    """
    checkpoint = _loaded(path, key)
    if not isinstance(checkpoint, dict) or CONFIG_KEY not in checkpoint:
        raise CheckpointError(
            f"{path} is not a checkpoint of memguard: set {key} to the checkpoints/last.ckpt of a "
            "run folder. One of your own Trainer goes into a detector that you build, by "
            "trainer.fit(detector, datamodule, ckpt_path=…)."
        )
    if not _are_weights(checkpoint.get("state_dict")):
        raise CheckpointError(f"{path} holds no weights: set {key} to another checkpoint.")
    if spoilt := next(spoilt_weights(checkpoint["state_dict"]), None):
        raise CheckpointError(
            f"{path}: {shown(spoilt)} holds values that are no numbers: set {key} to a checkpoint "
            "from before they arose."
        )
    try:
        settings, unknown = read_settings(checkpoint[CONFIG_KEY], paths)
        require_groups(settings)
        require_within_limits(settings)
        require_buildable(settings, trust)
    except (NotPlainError, NotTrustedError) as error:
        raise CheckpointError(f"{path}: {error}.") from None
    known = FIXED | {group: value for group, value in settings.items() if group in GROUPS}
    return checkpoint | {CONFIG_KEY: known, UNKNOWN_KEY: unknown}


def _loaded(path: Path, key: str) -> Any:
    """Load the content of a file, or name the fault of the file."""
    try:
        if path.is_dir():
            raise CheckpointError(
                f"{path} is a folder and no checkpoint: set {key} to a file, such as the "
                "checkpoints/last.ckpt of a training run's folder."
            )
        if not path.is_file():
            raise CheckpointError(
                f"There is no checkpoint {path}: set {key} to the checkpoints/last.ckpt of a "
                f"training run's folder."
            )
        return torch.load(path, map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except PermissionError as error:  # torch raises other OSErrors for a file that is cut short
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror or _first_line(error)}): correct its "
            "permissions and those of its folder, or restore it."
        ) from error
    except Exception as error:  # torch raises whatever its unpickler and zip reader meet
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}): it is damaged or of "
            f"another program; set {key} to the checkpoints/last.ckpt of a training run."
        ) from error


def spoilt_weights(state: Mapping[str, Any]) -> Iterator[str]:
    """Name the networks' weights and memory items that hold NaN or infinity.

    The scores of normal video, which the guard and the alarm keep, are NaN until validation.
    """
    for name, value in state.items():
        of_network = name.startswith(("autoencoder.", "memory.", DENOISER))
        if of_network and isinstance(value, Tensor) and not bool(value.isfinite().all()):
            yield name


def _are_weights(state: Any) -> bool:
    return isinstance(state, dict) and all(isinstance(name, str) for name in state)


def require_resumable(path: Path, config: DictConfig) -> None:
    """Require that the training of a checkpoint can resume under this configuration.

    Raises:
        CheckpointError: It holds no training, or settings that decide on its result differ.
    """
    checkpoint = read_checkpoint(path, trust=trust_of(config), paths=_paths(config))
    if "optimizer_states" not in checkpoint:
        raise CheckpointError(
            f"{path} holds weights alone, and no training can resume from it: evaluate it, or "
            f"begin a new training from it with weights instead of checkpoint."
        )
    if found := changed_settings(checkpoint, config):
        raise CheckpointError(refusal(path, found))
    _require_progress(path, checkpoint)


def changed_settings(checkpoint: Mapping[str, Any], config: DictConfig) -> list[Difference]:
    """Compare the settings of a checkpoint with those of a training, as far as they decide on it.

    Args:
        checkpoint: From :func:`read_checkpoint`.
        config: Of the training.
    """
    return differences(checkpoint[CONFIG_KEY], plain_settings(config))


def _require_progress(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Make sure that Lightning finds how far the training is, else it would train from the start.

    Raises:
        CheckpointError: The counts of its loops are missing, or not those of its epoch and step.
    """
    loops = checkpoint.get("loops")
    for count, place in PROGRESS.items():
        found: Any = loops
        for name in place:
            found = found.get(name) if isinstance(found, dict) else None
        if type(found) is not int or found != checkpoint.get(count):
            raise CheckpointError(
                f"{path}: its loops count {shown(found)} as its {count}, which is "
                f"{shown(checkpoint.get(count))}: this file is damaged or was changed; "
                f"weights={path} instead of checkpoint begins a new training from its weights."
            )


def read_weights(path: Path, config: DictConfig) -> dict[str, Tensor]:
    """Read weights that a training under this configuration can begin from.

    Raises:
        CheckpointError: It cannot be read, or is of another shape or task.
    """
    return _weights(path, "weights", SHAPE_KEYS, config)


def read_denoiser(path: Path, config: DictConfig) -> dict[str, Tensor]:
    """Read the weights of a denoiser, from its own checkpoint or from a detector's.

    Raises:
        CheckpointError: It cannot be read, or is of another shape.
    """
    weights = _weights(path, "denoise.weights", DENOISER_SHAPE_KEYS, config)
    return {name: value for name, value in weights.items() if name.startswith(DENOISER)}


def _weights(path: Path, key: str, shape: Iterable[str], config: DictConfig) -> dict[str, Tensor]:
    checkpoint = read_checkpoint(path, key, trust=trust_of(config), paths=_paths(config))
    trained = OmegaConf.create(checkpoint[CONFIG_KEY])
    for setting in shape:
        before, now = OmegaConf.select(trained, setting), OmegaConf.select(config, setting)
        if before != now:
            raise CheckpointError(
                f"{path} was trained with {setting}={shown(before)}, but this run has "
                f"{setting}={shown(now)}: repeat that setting, or set {key} to another checkpoint."
            )
    return cast(dict[str, Tensor], checkpoint["state_dict"])


def _paths(config: DictConfig) -> dict[str, str] | None:
    if "paths" not in config:
        return None
    return cast(dict[str, str], OmegaConf.to_container(config.paths, resolve=True))
