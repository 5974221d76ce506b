"""Settings of earlier versions: places of classes that have moved, and groups that were fixed."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

# Earlier places and present ones.
MOVED = {
    "memguard.model.memory.Memory": "memguard.model.memory.mnad.Memory",
    "memguard.guard.MemoryGuard": "memguard.detection.guard.MemoryGuard",
    "memguard.protocols.Scoring": "memguard.scoring.protocols.ScoreConfig",
    "memguard.scoring.protocols.Scoring": "memguard.scoring.protocols.ScoreConfig",
    "memguard.data.datamodule.ClipDataModule": "memguard.data.clips.datamodule.ClipDataModule",
    "memguard.safety.SafeCheckpoints": "memguard.training.callbacks.preemption.SafeCheckpoints",
    "memguard.safety.StopAtNaN": "memguard.training.callbacks.nan_stop.StopAtNaN",
    "memguard.training.callbacks.preemption.StopAtNaN": (
        "memguard.training.callbacks.nan_stop.StopAtNaN"
    ),
    "memguard.monitors.PseudoAUROC": "memguard.training.callbacks.monitors.PseudoAUROC",
    "memguard.monitors.TestEachEpoch": "memguard.training.callbacks.monitors.TestEachEpoch",
    "memguard.processes.SameItems": "memguard.training.callbacks.processes.SameItems",
    "memguard.report.progress.ProgressBar": "memguard.training.callbacks.progress.ProgressBar",
    "memguard.report.dashboard.test.TestFindings": "memguard.report.dashboard.test.TestFigures",
    "memguard.report.dashboard.steady.SteadyWandbLogger": (
        "memguard.report.dashboard.loggers.ResilientWandbLogger"
    ),
    "memguard.report.dashboard.curves_log.ContinuedCSVLogger": (
        "memguard.report.dashboard.csv_log.ResumableCSVLogger"
    ),
    "memguard.data.layouts.avenue": "memguard.data.datasets.avenue.avenue",
    "memguard.data.layouts.folder": "memguard.data.datasets.folder.folder",
    "memguard.data.layouts.ped1": "memguard.data.datasets.ucsd.ped1",
    "memguard.data.layouts.ped2": "memguard.data.datasets.ucsd.ped2",
    "memguard.data.layouts.shanghaitech": "memguard.data.datasets.shanghaitech.shanghaitech",
    "memguard.data.layouts.street": "memguard.data.datasets.street.street",
}

# Groups of settings that earlier checkpoints lack, as each training had them.
FIXED = {
    "scheduler": {"_target_": "memguard.model.schedules.cosine", "interval": "step"},
    "denoise": {"_target_": None},
}


def present_place(value: Any) -> Any:
    """Replace the earlier place of a class by the present one.

    Example:
        >>> present_place("memguard.guard.MemoryGuard")
        'memguard.detection.guard.MemoryGuard'
        >>> present_place("my_pkg.Guard")
        'my_pkg.Guard'
    """
    return MOVED.get(value, value) if isinstance(value, str) else value


def name_present_places(config: DictConfig) -> None:
    """Replace each earlier place of a class that a configuration names, in the configuration."""
    for key in map(str, config):
        if OmegaConf.is_missing(config, key) or OmegaConf.is_interpolation(config, key):
            continue
        node = config[key]
        if isinstance(node, DictConfig):
            name_present_places(node)
        elif key == "_target_":
            config[key] = present_place(node)
