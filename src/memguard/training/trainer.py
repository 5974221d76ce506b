"""Build Lightning's trainer with loggers and callbacks, and write the results that it leaves."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Timer

from memguard.config.metric_names import monitors
from memguard.config.trainer import options, refused_by, require_accelerator, switched_off
from memguard.config.trust import TARGET
from memguard.data.clips.datamodule import ClipDataModule
from memguard.distributed import require_together
from memguard.errors import ConfigError
from memguard.report.dashboard.figure_sink import LoggedSettings
from memguard.report.tested import FinishedTest
from memguard.training.callbacks.batch_norm import MeasuredNorm
from memguard.training.callbacks.ending import WholeEnd
from memguard.training.callbacks.overview import Overview
from memguard.training.callbacks.processes import Survivor
from memguard.training.checkpoints import RememberConfig, WholeFiles, plain_config
from memguard.training.machine import keep_freed_memory, warn_of_busy_cores
from memguard.training.provenance import Provenance
from memguard.training.run_folder import Results, Run, write_run_folder


def build_trainer(config: DictConfig, callbacks: list[pl.Callback], run: Run) -> pl.Trainer:
    """Build the trainer of a run.

    Args:
        config: Of the run, with its ``trainer``, ``logger`` and ``callbacks``.
        callbacks: To call before the configured ones.
        run: Whose folder the trainer writes to; made here where it is missing.

    Raises:
        ConfigError: An option cannot work, in general or on this machine.
    """
    require_accelerator(config)
    loggers = [made for _key, made in _built(config, "logger")]
    callbacks = [*callbacks, LoggedSettings(plain_config(config)), *_configured(config)]
    with refused_by("trainer"):
        trainer = instantiate(
            options(config),
            logger=loggers,
            plugins=[WholeFiles()],
            callbacks=callbacks,
            default_root_dir=str(run.folder),
        )
    require_together(trainer, in_sweep=run.in_sweep)
    run.folder.mkdir(parents=True, exist_ok=True)
    return trainer


def _built(config: DictConfig, group: str) -> Iterator[tuple[str, Any]]:
    """Build each object of a group, with its key."""
    for name, node in config.get(group, {}).items():
        key = f"{group}.{name}"
        with refused_by(key, str(OmegaConf.select(config, f"{key}.{TARGET}"))):
            made = instantiate(node)
        yield key, made


def _configured(config: DictConfig) -> Iterator[pl.Callback]:
    """Build the configured callbacks, without those that an option of the trainer switches off."""
    for key, callback in _built(config, "callbacks"):
        if not isinstance(callback, pl.Callback):
            raise ConfigError(
                f"{key} is not a callback of Lightning's: set {key}._target_ to a subclass of "
                "pytorch_lightning.Callback."
            )
        if not switched_off(callback, config):
            yield callback


def ending_callbacks(config: DictConfig) -> Iterator[pl.Callback]:
    """Build the callbacks that find the end of a training, and save what it leaves."""
    limit = config.trainer.get("max_time")
    if limit is not None:
        with refused_by("trainer.max_time"):
            parts: Any = OmegaConf.to_container(limit) if OmegaConf.is_config(limit) else limit
            yield Timer(parts)
    yield WholeEnd()
    yield Survivor()
    yield RememberConfig(config)


def training_callbacks(config: DictConfig) -> Iterator[pl.Callback]:
    """Build the callbacks that every training of a detector needs."""
    yield from ending_callbacks(config)
    yield Overview()
    if config.batch_norm == "measured":
        yield MeasuredNorm(each_epoch=any(monitors(config.callbacks)))


def logged(trainer: pl.Trainer) -> dict[str, float]:
    """Return the metrics that were logged last, without those of the progress bar."""
    return {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}


def write_results(
    trainer: pl.Trainer,
    datamodule: ClipDataModule,
    config: DictConfig,
    provenance: Provenance,
    folder: Path,
    metrics: dict[str, float],
    tested: FinishedTest | None = None,
) -> dict[str, float]:
    """Write the run folder, in the first process alone.

    Returns:
        The given metrics, and the counts of skipped videos.
    """
    if datamodule.on_error == "skip":
        metrics |= {f"data/skipped_{split}": n for split, n in datamodule.skipped.items()}
    if trainer.is_global_zero:
        settled = {"precision": trainer.precision, "processes": trainer.world_size}
        made = provenance.finish() | settled
        results = Results(datamodule.benchmark, config, made, metrics, tested)
        write_run_folder(folder, results, trainer.loggers)
    return metrics


def begin_training(config: DictConfig) -> None:
    """Settle what a training needs before anything is built: advice, memory, seed and precision."""
    silence_advice()
    keep_freed_memory()
    warn_of_busy_cores()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    # A checkpoint holds the value, not the interpolation: another machine may resolve another.
    config.trainer.precision = config.trainer.precision


def silence_advice() -> None:
    """Silence advice of Lightning that does not apply here, and tracebacks of a full disk."""
    logging.raiseExceptions = False  # a log on a full disk prints one for each line
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    logging.getLogger("pytorch_lightning.profilers").setLevel(logging.INFO)  # trainer.profiler
    for advice in (
        ".*You requested to overfit but enabled.*",  # the stream repeats its batches
        ".*does not have many workers.*",  # threads decode ahead
        ".*has `__len__` defined.*",  # the streams count their own batches
        ".*Total length of `DataLoader` across ranks is zero.*",  # nothing is held out
        ".*smaller than the logging interval.*",  # small sets have short epochs
        ".*recommended to use `self.log.*sync_dist=True.*",  # logged values are reduced already
        ".*your dataloader is not resumable.*",  # the stream resumes at its window
        ".*dirpath has changed.*",  # a resumed training has its own folder
        ".*exists and is not empty.*",  # or continues its first one, and deletes nothing there
        ".*in eval mode at the start of training.*",  # a denoiser stays as it is
        ".*LeafSpec.*is deprecated.*",  # Lightning's own use of torch
    ):
        warnings.filterwarnings("ignore", advice)
