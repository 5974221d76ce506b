"""Names of runs, jobs and sweeps, for folders and loggers."""

import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

# Keys that change no result: a sweep resumes under other values of them.
WITHOUT_EFFECT = ("sweep", "optimized_metric", "paths.cache_dir", "tags", "print_config")
LONGEST_NAME = 110  # a digest of eight letters follows
LONGEST_LOGGED = 128  # letters that W&B takes for a run or a group


def job_name(varied: str, overrides: Iterable[str]) -> str:
    """Name a job's folder: the same for the same overrides in any order.

    Args:
        varied: The varied settings, as Hydra's ``override_dirname`` has them.
        overrides: All overrides; their digest separates jobs that ``varied`` does not.

    >>> job_name("memory.size-5_seed-1", ["seed=1", "memory.size=5", "sweep=memory_size"])
    'memory.size-5_seed-1_38309cc5'
    """
    effective = sorted(text for text in overrides if _key(text) not in WITHOUT_EFFECT)
    digest = sha256("\n".join(effective).encode()).hexdigest()[:8]
    shown = re.sub(r"[^\w.,+-]+", "-", varied)[:LONGEST_NAME]
    return f"{shown}_{digest}".lstrip("_")


def run_name(run_dir: str) -> str:
    """Name a run for a logger: in a sweep by its folder, which names the varied settings."""
    folder = Path(run_dir)
    if sweep_folder():
        return folder.name[:LONGEST_LOGGED]
    return f"{folder.parent.name}/{folder.name}"[-LONGEST_LOGGED:]


def sweep_name() -> str | None:
    """Name the sweep that this run belongs to by its folder; None for a run of its own."""
    folder = sweep_folder()
    return folder.name[-LONGEST_LOGGED:] if folder else None


def sweep_folder() -> Path | None:
    """Find the folder of the sweep that this run belongs to; None for a run of its own."""
    if not HydraConfig.initialized() or HydraConfig.get().mode is not RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir)


def resume_override(newest: Path) -> str:
    """Name the override that resumes the same command after an interruption.

    Args:
        newest: The checkpoint of this run. In a sweep it would be every job's; there, the sweep's
            folder leaves out the finished jobs.
    """
    sweep = sweep_folder()
    return f"checkpoint={newest}" if sweep is None else f"hydra.sweep.dir={sweep}"


def _key(override: str) -> str:
    return override.split("=")[0].lstrip("+~")
