"""An experiment: from a composed configuration to a trained and tested detector and its folder."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.loggers import Logger
from rich.console import Console

from memguard.config.compose import published_settings
from memguard.config.rules import EVALUATION_RULES, PREPARE_RULES
from memguard.config.trainer import (
    misconfiguration_reported,
    options,
    refused_by,
    require_accelerator,
    switched_off,
)
from memguard.config.trust import Trust, trust_of
from memguard.config.validation import validate_by, validate_training
from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.benchmark import Benchmark
from memguard.data.datasets.download import download
from memguard.data.datasets.preparation import Preparation
from memguard.data.datasets.preparation import prepare as prepare_benchmark
from memguard.detection.baselines import PreviousFrame
from memguard.detection.detector import Detector
from memguard.detection.frame_scorer import FrameScorer
from memguard.distributed import require_together
from memguard.errors import ConfigError, DataError
from memguard.report.dashboard.figure_sink import LoggedSettings, closing, keep_files
from memguard.report.page import write_report
from memguard.report.preparation import preparation_table
from memguard.report.recorder import TestRecorder
from memguard.report.results import print_summary, write_json, write_scores
from memguard.report.tested import FinishedTest
from memguard.scoring.protocols import one_class_videos
from memguard.training.build import build, build_benchmark, build_datamodule, build_detector
from memguard.training.callbacks.batch_norm import MeasuredNorm
from memguard.training.callbacks.ending import WholeEnd
from memguard.training.callbacks.processes import Survivor, lost_process_reported
from memguard.training.checkpoints import (
    CONFIG_KEY,
    RememberConfig,
    WholeFiles,
    damage_reported,
    plain_config,
    read_checkpoint,
    read_weights,
    require_resumable,
)
from memguard.training.machine import keep_freed_memory, warn_of_busy_cores
from memguard.training.moved import name_present_places
from memguard.training.provenance import Provenance
from memguard.training.run import Run, begin_run
from memguard.training.settings import plain_settings, read_settings
from memguard.training.trained import as_trained, filled_detector, require_working

log = logging.getLogger(__name__)


def train(config: DictConfig, folder: Path | str, *, in_sweep: bool = False) -> dict[str, float]:
    """Train a detector, test it, and write the run folder.

    Args:
        config: A training, as :func:`memguard.compose` composes it.
        folder: The run folder, made where it is missing.
        in_sweep: Whether this is a job of a sweep.

    Returns:
        The content of ``metrics.json``.

    Raises:
        UserError: The configuration, a video, a label file or the checkpoint cannot be used, or
            the folder holds the results of another run.
    """
    run = begin_run(config, folder, in_sweep=in_sweep)
    name_present_places(config)
    validate_training(config)
    provenance = Provenance(config.seed)
    _quieten()
    keep_freed_memory()
    warn_of_busy_cores()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    # The resolver's answer, not its question, goes into the checkpoint.
    config.trainer.precision = config.trainer.precision
    if config.checkpoint:
        require_resumable(Path(config.checkpoint), config)
    detector = _detector_to_train(config)
    trust = trust_of(config)
    benchmark = build_benchmark(config, trust)
    if not config.test:
        benchmark = replace(benchmark, test=())
    datamodule = build_datamodule(config, benchmark, trust)
    trainer = build_trainer(config, list(_of_every_training(config)), run)
    with closing(trainer.loggers), misconfiguration_reported():
        lost = lost_process_reported(run.folder / "checkpoints" / "last.ckpt")
        with lost, damage_reported(config.checkpoint):
            trainer.fit(detector, datamodule, ckpt_path=config.checkpoint, weights_only=True)
        return _test(trainer, detector, datamodule, config, provenance, run.folder)


def evaluate(config: DictConfig, folder: Path | str, *, in_sweep: bool = False) -> dict[str, float]:
    """Test the detector of a checkpoint, or a baseline that needs none, and write the run folder.

    Args:
        config: An evaluation, as :func:`memguard.compose` composes it. A value that is null stays
            as in training, or as published for a baseline.
        folder: The run folder, made where it is missing.
        in_sweep: Whether this is a job of a sweep.

    Returns:
        The content of ``metrics.json``.

    Raises:
        UserError: The configuration, a video, a label file or the checkpoint cannot be used, or
            the folder holds the results of another run.
    """
    run = begin_run(config, folder, in_sweep=in_sweep)
    name_present_places(config)
    validate_by(EVALUATION_RULES, config)
    trust = trust_of(config)
    checkpoint = _what_to_test(config, trust)
    path = Path(config.checkpoint) if config.checkpoint else None
    asked, config = config, as_trained(path, checkpoint, config)
    require_working(path, config, asked)
    provenance = Provenance(config.seed)
    _quieten()
    warn_of_busy_cores()
    if path is None:
        scorer: FrameScorer = PreviousFrame(build("scoring", config.scoring, trust))
    else:
        scorer = filled_detector(path, config, checkpoint, trust)
    benchmark = replace(build_benchmark(config, trust), train=())
    datamodule = build_datamodule(config, benchmark, trust)
    trainer = build_trainer(config, [], run)
    with closing(trainer.loggers), misconfiguration_reported():
        return _test(trainer, scorer, datamodule, config, provenance, run.folder)


def prepare(config: DictConfig, *, dataset: str | None = None) -> Preparation:
    """Inspect and convert the videos of a dataset, and print a table of them.

    Args:
        config: A preparation, as :func:`memguard.compose` composes it.
        dataset: The name of the dataset, which ``download=true`` needs.

    Returns:
        Every video with its frames, labels and problems.

    Raises:
        UserError: The dataset cannot be fetched or found, or a video or its labels cannot be used;
            the message has a line for each problem.
    """
    validate_by(PREPARE_RULES, config)
    if config.download:
        if dataset is None:
            raise ConfigError("download=true needs the name of the dataset: pass dataset=…")
        download(dataset, Path(config.dataset.root))
    benchmark = build_benchmark(config, trust_of(config))
    cache_dir = Path(config.paths.cache_dir).expanduser()
    preparation = prepare_benchmark(benchmark, cache_dir, length=config.window)
    Console().print(preparation_table(benchmark.title, preparation))
    preparation.require_no_problem()
    return preparation


def _detector_to_train(config: DictConfig) -> Detector:
    """Put the detector together as a training begins: anew, or with what another has learned."""
    trust = trust_of(config)
    detector = build_detector(config, trust)
    with refused_by("optimizer"):  # torch checks its settings when it gets parameters
        build("optimizer", config.optimizer, trust)([torch.nn.Parameter(torch.zeros(1))])
    if config.weights:
        detector.begin_from(read_weights(Path(config.weights), config))
    return detector


def _of_every_training(config: DictConfig) -> Iterator[pl.Callback]:
    """What a training needs whatever watches it; what finds its end comes first."""
    if config.trainer.get("max_time") is not None:
        with refused_by("trainer.max_time"):
            yield Timer(options(config)["max_time"])
    yield WholeEnd()
    yield Survivor()
    yield RememberConfig(config)
    if config.batch_norm == "measured":
        yield MeasuredNorm()


def build_trainer(config: DictConfig, callbacks: list[pl.Callback], run: Run) -> pl.Trainer:
    """Make the trainer, with the configured loggers and callbacks beside the given ones.

    Raises:
        ConfigError: The options cannot work, or not on this machine.
    """
    require_accelerator(config)
    with refused_by("logger"):
        loggers = [instantiate(logger) for logger in config.get("logger", {}).values()]
    with refused_by("callbacks"):
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


def _configured(config: DictConfig) -> Iterator[pl.Callback]:
    """Make the configured callbacks, apart from those that a trainer's option switches off."""
    for name, node in config.callbacks.items():
        callback = instantiate(node)
        if not isinstance(callback, pl.Callback):
            raise ConfigError(
                f"callbacks.{name} cannot work, as it is no callback of Lightning's: set "
                f"callbacks.{name}._target_ to a subclass of pytorch_lightning.Callback."
            )
        if not switched_off(callback, config):
            yield callback


def _what_to_test(config: DictConfig, trust: Trust) -> dict[str, Any]:
    """Read the checkpoint, or give a baseline's settings in the form of one."""
    if (config.checkpoint is None) == (config.baseline is None):
        raise ConfigError(
            "What to test is not clear: add either checkpoint=…, the checkpoints/last.ckpt of a "
            "training run, or baseline=previous_frame or frame_difference, which need none."
        )
    if config.checkpoint is None:
        settings, _ = read_settings(plain_settings(published_settings("pred")), config.paths)
        return {CONFIG_KEY: settings}
    return read_checkpoint(Path(config.checkpoint), trust=trust, paths=config.paths)


def _quieten() -> None:
    """Leave out the advice of Lightning that does not hold here, and tracebacks of a full disk."""
    logging.raiseExceptions = False  # else each line that a log does not take writes one
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for advice in (
        ".*does not have many workers.*",  # threads decode ahead
        ".*has `__len__` defined.*",  # the streams count their batches themselves
        ".*Total length of `DataLoader` across ranks is zero.*",  # where nothing is held out
        ".*smaller than the logging interval.*",  # small sets may have short epochs
        ".*recommended to use `self.log.*sync_dist=True.*",  # what is joined already is logged
        ".*your dataloader is not resumable.*",  # the stream goes on where it was
        ".*dirpath has changed.*",  # a training that goes on has a folder of its own
        ".*LeafSpec.*is deprecated.*",  # how Lightning speaks to torch is not the user's to mend
    ):
        warnings.filterwarnings("ignore", advice)


def _test(
    trainer: pl.Trainer,
    scorer: FrameScorer,
    datamodule: ClipDataModule,
    config: DictConfig,
    provenance: Provenance,
    folder: Path,
) -> dict[str, float]:
    """Test, where there is something to test on, and write the run folder's files."""
    metrics = _metrics(trainer)  # of the training; a test forgets them
    tested = _tested(trainer, scorer, datamodule) if config.get("test", True) else None
    metrics |= _metrics(trainer)
    if datamodule.on_error == "skip":
        metrics |= {f"data/skipped_{split}": n for split, n in datamodule.skipped.items()}
    if trainer.is_global_zero:
        settled = {"precision": trainer.precision, "processes": trainer.world_size}
        made = provenance.finish() | settled
        try:
            _write_run_folder(
                folder, trainer.loggers, datamodule.benchmark, config, made, metrics, tested
            )
        except OSError as error:
            raise DataError(
                f"{error.filename or folder} cannot be written ({error.strerror}), so that this "
                "run's results are not whole: make room on its disk, and test the newest "
                "checkpoint with memguard.evaluate."
            ) from error
    return metrics


def _tested(
    trainer: pl.Trainer, scorer: FrameScorer, datamodule: ClipDataModule
) -> FinishedTest | None:
    names = [record.name for record in datamodule.benchmark.test]
    if not names:
        log.warning("%s has no test videos: nothing was tested.", datamodule.benchmark.name)
        return None
    limit = trainer.limit_test_batches
    if limit == 0:
        log.warning("trainer.limit_test_batches=0: nothing was tested.")
        return None
    if limit != 1.0 or isinstance(limit, int):
        log.warning(
            "Only a part of the test videos' frames is tested (trainer.limit_test_batches or "
            "trainer.fast_dev_run): these figures do not compare with those of a whole test."
        )
    recorder = TestRecorder()
    trainer.callbacks.append(recorder)  # type: ignore[attr-defined]
    trainer.test(scorer, datamodule, verbose=False)
    fps = {number: footage.fps for number, footage in datamodule.tested.items()}
    shape = scorer.frame_shape
    return FinishedTest(scorer.frames, names, scorer.scoring, shape, recorder, fps)


def _write_run_folder(
    folder: Path,
    loggers: Sequence[Logger],
    benchmark: Benchmark,
    config: DictConfig,
    provenance: dict[str, Any],
    metrics: dict[str, float],
    tested: FinishedTest | None,
) -> None:
    """Write what a run leaves, ``metrics.json`` last: a folder that has it is a finished run's."""
    title = f"{'Test' if tested else 'Training'} on {benchmark.title}"
    made = {"dataset": benchmark.name, "label_set": benchmark.label_set} | provenance
    write_json(folder / "provenance.json", made)
    composed = OmegaConf.to_yaml(OmegaConf.create(plain_config(config)), resolve=True)
    (folder / "config.yaml").write_text(composed, encoding="utf-8")
    left_out: list[str] = []
    if tested:
        write_scores(folder / "scores.csv", tested.frames, tested.names)
        left_out = [tested.names[number] for number in one_class_videos(tested.frames)]
    write_report(
        folder / "report.html",
        title=title,
        metrics=metrics,
        config=composed,
        provenance=made,
        tested=tested,
    )
    files = {"checkpoint": folder / "checkpoints" / "last.ckpt", "scores": folder / "scores.csv"}
    keep_files(loggers, {kind: path for kind, path in files.items() if path.exists()})
    write_json(folder / "metrics.json", metrics)
    print_summary(title, metrics, left_out, folder)


def _metrics(trainer: pl.Trainer) -> dict[str, float]:
    """What was logged last; names without a part of the run before them are for the bar alone."""
    return {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
