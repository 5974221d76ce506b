"""Refusals of a sweep that cannot start here, before it has a folder."""

import shutil
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class CanStart(Callback):
    """Hydra's callback that refuses a sweep that cannot start here."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look at the launcher and at the storage of a search.

        Raises:
            SystemExit: This machine has no SLURM to start the jobs, the command line has a
                password, or a search has no jobs.
        """
        require_launcher(config.hydra.runtime.choices["hydra/launcher"])
        require_no_password(config.hydra.overrides.hydra)
        require_jobs(config.hydra.sweeper.get("n_trials"))


def require_launcher(chosen: str) -> None:
    """Refuse a launcher whose scheduler this machine does not have.

    Raises:
        SystemExit: This machine has no SLURM.
    """
    if chosen == "submitit_slurm" and shutil.which("srun") is None:
        raise SystemExit(
            "hydra/launcher=submitit_slurm cannot work here, as this machine has no srun of "
            "SLURM: start the sweep on a login node of the cluster, or set "
            "hydra/launcher=joblib, which starts the jobs on this machine."
        )


def require_no_password(overrides: Sequence[str]) -> None:
    """Refuse a typed password: Hydra writes the command line of each job into files.

    Args:
        overrides: Hydra's part of the command line.

    Raises:
        SystemExit: ``hydra.sweeper.storage`` has a password.
    """
    for override in overrides:
        key, _, address = override.partition("=")
        if key.lstrip("+") == "hydra.sweeper.storage" and urlsplit(address.strip("'\"")).password:
            raise SystemExit(
                "hydra.sweeper.storage has a password, and each job's folder would show it: put "
                "the address into the environment variable MEMGUARD_STORAGE, and leave "
                "hydra.sweeper.storage out."
            )


def require_jobs(n_trials: int | None) -> None:
    """Refuse a search without jobs; other sweeps have no number of them.

    Raises:
        SystemExit: There are none.
    """
    if n_trials is not None and n_trials < 1:
        raise SystemExit(f"hydra.sweeper.n_trials={n_trials} cannot work: it must be at least 1.")
