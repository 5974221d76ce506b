"""Test every epoch of a training whose checkpoints were stored, beside its last checkpoint."""

import logging
from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
from omegaconf import DictConfig, OmegaConf

from memguard.config.sentences import shown
from memguard.config.trust import trust_of
from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.benchmark import Benchmark
from memguard.detection.places import PlaceMetrics
from memguard.errors import CheckpointError, ConfigError
from memguard.report.dashboard.figure_sink import FigureSink
from memguard.report.epochs import epochs_table, print_epochs
from memguard.report.plots.epochs import metric_over_epochs
from memguard.training.checkpoints import read_checkpoint
from memguard.training.run_folder import Run
from memguard.training.trained import filled_detector
from memguard.training.trainer import build_trainer, logged

Tests = dict[int, dict[str, float]]
"""The metrics of a test of each epoch, by its number from 1."""

log = logging.getLogger(__name__)


def last_checkpoint(run: Path) -> Path:
    """Find the last checkpoint of a run folder.

    Raises:
        CheckpointError: There is none.
    """
    path = run / "checkpoints" / "last.ckpt"
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint {path}: set run to a training's run folder.")
    return path


def epoch_checkpoints(run: Path) -> list[Path]:
    """Find the checkpoints of single epochs in a run folder.

    Raises:
        CheckpointError: There is none.
    """
    found = sorted((run / "checkpoints").glob("epoch*.ckpt"))
    if not found:
        raise CheckpointError(
            f"{run} has no checkpoint of single epochs (checkpoints/epoch*.ckpt): train with "
            "callbacks=each_epoch, which stores them, or leave every_epoch out."
        )
    return found


def require_labels(benchmark: Benchmark) -> None:
    """Refuse to compare epochs without labels.

    Raises:
        ConfigError: No test video has labels.
    """
    if all(record.labels is None for record in benchmark.test):
        raise ConfigError(
            f"every_epoch=true compares epochs by the test's labels, and {benchmark.name} has "
            "none: add them, or leave every_epoch out."
        )


def tested_epochs(
    paths: list[Path], config: DictConfig, datamodule: ClipDataModule, run: Run
) -> Tests:
    """Test the checkpoint of each epoch, places included, without loggers and pictures.

    Args:
        paths: From :func:`epoch_checkpoints`.
        config: Of the evaluation, as trained.
        datamodule: With the test videos.
        run: The evaluation's own.

    Raises:
        CheckpointError: A checkpoint cannot be read, or is of another network than ``config``.
        ConfigError: The test has no metric ``optimized_metric``.
    """
    trust, metric = trust_of(config), config.optimized_metric
    trainer = build_trainer(_with_progress_alone(config), [], run)
    places = PlaceMetrics(datamodule)
    tests: Tests = {}
    for path in paths:
        saved = read_checkpoint(path, trust=trust, paths=config.paths)
        epoch = saved.get("epoch")
        if type(epoch) is not int:
            raise CheckpointError(f"{path}: its epoch is {shown(epoch)}: this file is damaged.")
        log.info("Testing %s", path)
        detector = filled_detector(path, config, saved, trust)
        detector.places = places
        trainer.test(detector, datamodule, verbose=False)
        tests[epoch + 1] = logged(trainer)
        if metric not in tests[epoch + 1]:
            raise ConfigError(
                f"every_epoch=true compares epochs by optimized_metric={metric}, which this test "
                "does not have: set it to another metric of the test, or add labels of both "
                "classes."
            )
    return dict(sorted(tests.items()))


def report_epochs(
    trainer: pl.Trainer, folder: Path, tests: Tests, last: Mapping[str, float], metric: str
) -> None:
    """Write ``tables/epochs.csv`` and ``figures/epochs.png``, show them in the loggers, and print.

    Args:
        trainer: Of the evaluation, with the loggers.
        folder: The run folder.
        tests: From :func:`tested_epochs`.
        last: The metrics of the last checkpoint's test.
        metric: Decides which epoch is best.
    """
    if trainer.is_global_zero:
        of_test = {name: value for name, value in last.items() if name.startswith("test/")}
        table, sink = epochs_table(tests, of_test, metric), FigureSink(folder)
        sink.table(trainer, "test/epochs", table)
        sink.figure(trainer, "test/over_epochs", metric_over_epochs(table), file="epochs.png")
        print_epochs(f"Every epoch, by {metric}", table)


def _with_progress_alone(config: DictConfig) -> DictConfig:
    bars = [key for key in config.get("callbacks", {}) if key == "progress"]
    changed = OmegaConf.masked_copy(config, [str(key) for key in config if key != "logger"])
    changed.callbacks = OmegaConf.masked_copy(config.callbacks, bars) if bars else {}
    return changed
