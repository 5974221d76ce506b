"""Launchers of a sweep's jobs: whether this machine has what the chosen one needs."""

import shutil
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class LauncherWorks(Callback):
    """Hydra's callback that refuses a launcher whose scheduler this machine does not have."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Look for SLURM if it is to start the jobs.

        Raises:
            SystemExit: This machine has no SLURM.
        """
        chosen = config.hydra.runtime.choices["hydra/launcher"]
        if chosen == "submitit_slurm" and shutil.which("srun") is None:
            raise SystemExit(
                "hydra/launcher=submitit_slurm cannot work here, as this machine has no srun of "
                "SLURM: start the sweep on a login node of the cluster, or set "
                "hydra/launcher=joblib, which starts the jobs on this machine."
            )
