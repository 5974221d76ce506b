"""Refuse a command, or a sweep's job, in one sentence, and remove its folder if it is empty."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from memguard.errors import FULL_ERROR, UserError

# Variables of processes that run a command together.
RANKS = {"RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"}


class RefusedLeavesNothing(Callback):
    """Hydra's callback that removes the folder of a command or job that was refused.

    Hydra makes the folder and records the configuration in it before anything can be checked. Where
    it holds more than that, work had begun, and it stays. A folder that was there before stays as
    well, with the record that it had. Of several processes the first one alone does so.
    """

    def __init__(self) -> None:
        self._before: _Before | None = None

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Record the files that exist before the run."""
        hydra = HydraConfig.instance()
        outer = hydra.cfg
        hydra.set_config(config)  # the folder's name may refer to Hydra's choices
        try:
            self._before = _Before(Path(config.hydra.run.dir), config.hydra.output_subdir)
        finally:
            hydra.cfg = outer

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Record the folders of jobs that exist before the sweep."""
        self._before = _Before(Path(config.hydra.sweep.dir), config.hydra.output_subdir)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Remove the files of Hydra if the command was refused."""
        refused = job_return.status == JobStatus.FAILED and isinstance(
            job_return._return_value, UserError
        )
        if self._before is None or not refused or _rank() != 0:
            return
        folder = Path(config.hydra.runtime.output_dir)
        self._before.restore(folder, log=f"{config.hydra.job.name}.log")

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Leave the reason as the last word; Hydra would print lines of its own around it."""
        reason = kwargs["job_return"]._return_value
        if isinstance(reason, UserError) and os.environ.get(FULL_ERROR) != "1":
            sys.exit(str(reason))


def _rank() -> int:
    """Number this process among those that run the command together, as Lightning does."""
    if not RANKS & os.environ.keys() and "pytorch_lightning" not in sys.modules:
        return 0
    from pytorch_lightning.utilities import rank_zero_only

    return getattr(rank_zero_only, "rank", 0)


class _Before:
    """The folder of a run or a sweep before Hydra made it or wrote to it.

    Args:
        folder: Where it will be.
        record: The name of the folder in it that Hydra records the configuration in, if any.
    """

    def __init__(self, folder: Path, record: str | None) -> None:
        self._folder = folder.absolute()
        self._record = record
        near = (self._folder, *self._folder.parents, *self._folder.glob("*"))
        self._there = {path for path in near if path.exists()}
        recorded = _files(self._folder / record) if record else ()
        self._recorded = {path: path.read_bytes() for path in recorded}

    def restore(self, folder: Path, log: str) -> None:
        """Restore the earlier files, and remove a folder that holds only files of Hydra.

        Args:
            folder: Of the run or the job; its name may have got a number since.
            log: The name of the run's log file.
        """
        for path, content in self._recorded.items():
            path.write_bytes(content)
        if folder in self._there:
            return
        record = folder / self._record if self._record else folder / ".hydra"
        own = {folder / log, record, *_files(record)}
        if not set(folder.rglob("*")) <= own:
            return
        with suppress(OSError):
            for path in (folder / log, *_files(record)):
                path.unlink(missing_ok=True)
            if record.exists():
                record.rmdir()
            for path in (folder, *folder.parents):
                if path in self._there:
                    break
                path.rmdir()  # not if something else is in it


def _files(record: Path) -> Iterator[Path]:
    names = ("config.yaml", "hydra.yaml", "overrides.yaml")
    return (path for path in (record / name for name in names) if path.is_file())
