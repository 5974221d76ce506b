"""Run folders: each command has its own, whatever starts beside it, and keeps what lies in one."""

import errno
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, read_write

from memguard.config.command_line import quoted
from memguard.distributed import agreed

# Results of a command that another command would overwrite.
RESULTS = ("metrics.json", "scores.csv", "events.json", "checkpoints/*.ckpt")
SCORED = ("*/events.json", "*/*/events.json")
# Commands that resume from a checkpoint in their own folder.
TRAININGS = ("train", "train_denoiser")

# As much as Hydra and a log need to begin.
TRIED_BYTES = 2**16

# The errors of a disk without room, and of a user whose share of it is used up.
FULL = (errno.ENOSPC, errno.EDQUOT)


class OwnFolder(Callback):
    """Hydra's callback that makes the run's or sweep's folder, before anything is written.

    A folder that no key names gets a number behind its name where the name is taken. One that is
    named may hold earlier results only where they are continued: by a training from its own
    checkpoint, and by a sweep of trainings or tests.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the run's folder.

        Raises:
            SystemExit: It holds somebody's results, or cannot be written.
        """
        run, key = config.hydra.run, "hydra.run.dir"
        with _composed(config):
            folder = Path(run.dir)
        if not _is_named(key, config):
            with read_write(run):
                run.dir = agreed(lambda: str(_made(folder, key)))
            return
        patterns = RESULTS + (SCORED[:1] if (folder / ".hydra").exists() else ())
        found = _first(folder, patterns)
        trains = kwargs.get("config_name") in TRAININGS and config.get("train", True)
        if found and not (trains and _lies_in(config.checkpoint, folder)):
            resume = f", set checkpoint={folder}/checkpoints/last.ckpt to resume" if trains else ""
            raise SystemExit(
                f"{folder} holds results already ({found.name}), which this command would write "
                f"over: leave {key} out, name a new folder{resume}, or remove it."
            )
        _require_writable(folder, key)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the sweep's folder.

        Raises:
            SystemExit: It holds scores of videos, or cannot be written.
        """
        sweep, key = config.hydra.sweep, "hydra.sweep.dir"
        folder = Path(sweep.dir)
        if not _is_named(key, config):
            folder = _made(folder, key)
            with read_write(sweep), read_write(config.hydra.overrides):
                sweep.dir = str(folder)
                # Hydra composes every job with these.
                config.hydra.overrides.hydra.append(f"{key}={quoted(str(folder))}")
        elif found := _first(folder, SCORED):
            raise SystemExit(
                f"{folder} holds scores of videos already ({found.relative_to(folder)}), which "
                f"this command would write over: leave {key} out, name a new folder, or remove it."
            )
        else:
            _require_writable(folder, key)


class WritableFolder(Callback):
    """Hydra's callback that makes the folder of a service, which may hold its earlier output.

    A service begins beside a full disk as well, as its work is more than what it writes. Hydra then
    records no configuration.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Make the folder.

        Raises:
            SystemExit: It cannot be written for another reason than a full disk.
        """
        folder = Path(config.folder)
        with _refusal_reported(folder, "folder"):
            try:
                _try_to_write(folder)
            except OSError as error:
                if not folder.exists() or error.errno not in FULL:
                    raise
                # Hydra has not set up the log yet.
                print(f"{folder}: its disk is full; make room on it.", file=sys.stderr)
                with read_write(config.hydra):
                    config.hydra.output_subdir = None


def _is_named(key: str, config: DictConfig) -> bool:
    return any(word.lstrip("+").startswith(f"{key}=") for word in config.hydra.overrides.hydra)


def _made(wanted: Path, key: str) -> Path:
    """Make a folder that is this command's alone, under the wanted name or with a number."""
    number, folder = 1, wanted
    with _refusal_reported(wanted, key):
        wanted.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
                folder = wanted.with_name(f"{wanted.name}-{number}")
            else:
                break
    _require_writable(folder, key)
    return folder


def _require_writable(folder: Path, key: str) -> None:
    with _refusal_reported(folder, key):
        _try_to_write(folder)


def _try_to_write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as trial:
        trial.write(bytes(TRIED_BYTES))


@contextmanager
def _refusal_reported(folder: Path, key: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise SystemExit(
            f"{folder}: this is a file, and no folder; set {key} to a folder."
        ) from None
    except OSError as error:
        raise SystemExit(
            f"{folder}: this folder cannot be written ({error.strerror}); correct its permissions "
            f"or make room on its disk, or set {key} to another folder."
        ) from None


def _first(folder: Path, patterns: Iterable[str]) -> Path | None:
    """Find a file of a folder by patterns; None where there is none."""
    return next((path for pattern in patterns for path in folder.glob(pattern)), None)


def _lies_in(checkpoint: str | None, folder: Path) -> bool:
    return bool(checkpoint) and Path(str(checkpoint)).resolve().is_relative_to(folder.resolve())


@contextmanager
def _composed(config: DictConfig) -> Iterator[None]:
    """Let the names of folders refer to Hydra's choices, which a job alone may do otherwise."""
    hydra = HydraConfig.instance()
    before = hydra.cfg
    hydra.set_config(config)
    try:
        yield
    finally:
        hydra.cfg = before
