"""A run: where it writes, and whether it is a job of a sweep."""

from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig

from memguard.errors import ConfigError


@dataclass(frozen=True)
class Run:
    """The context of a training or a test.

    Attributes:
        folder: Where it writes.
        in_sweep: Whether it is a job of a sweep.
    """

    folder: Path
    in_sweep: bool = False


def begin_run(config: DictConfig, folder: Path | str, *, in_sweep: bool) -> Run:
    """Name the run folder in the configuration (``paths.run_dir``); nothing is made yet.

    Args:
        config: Of the run.
        folder: Where it writes.
        in_sweep: Whether it is a job of a sweep.

    Raises:
        ConfigError: The folder holds the results of another run.
    """
    run = Run(Path(folder), in_sweep)
    resumes = (
        config.checkpoint
        and config.get("train", True)
        and Path(config.checkpoint).resolve().is_relative_to(run.folder.resolve())
    )
    if (run.folder / "metrics.json").exists() and not resumes:
        raise ConfigError(
            f"{folder} holds the results of another run already: name a new folder, or remove it."
        )
    config.paths.run_dir = str(run.folder)
    return run
