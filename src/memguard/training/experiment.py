"""Train, test and prepare, each from a composed configuration."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from memguard.config.compose import published_settings
from memguard.config.schema import EvaluationSettings, PrepareSettings
from memguard.config.trainer import misconfiguration_reported
from memguard.config.trust import Trust, trust_of
from memguard.config.validation import validate_by, validate_training
from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.benchmark import Benchmark
from memguard.data.datasets.download import download
from memguard.data.datasets.preparation import Preparation
from memguard.data.datasets.preparation import prepare as prepare_benchmark
from memguard.data.video.frame_size import sides
from memguard.detection.baselines import PreviousFrame
from memguard.detection.detector import Detector
from memguard.detection.frame_scorer import FrameScorer
from memguard.detection.ignored import ignored_places
from memguard.detection.places import PlaceMetrics
from memguard.errors import ConfigError, DataError
from memguard.report.alarm_levels import supported_rates
from memguard.report.config_tree import print_config
from memguard.report.dashboard.figure_sink import closing
from memguard.report.preparation import preparation_table
from memguard.report.recorder import TestRecorder
from memguard.report.tested import FinishedTest
from memguard.training.build import (
    build,
    build_benchmark,
    build_datamodule,
    build_detector,
    find_benchmark,
)
from memguard.training.callbacks.processes import lost_process_reported
from memguard.training.checkpoints import (
    CONFIG_KEY,
    damage_reported,
    read_checkpoint,
    read_denoiser,
    read_weights,
    require_resumable,
)
from memguard.training.every_epoch import (
    epoch_checkpoints,
    last_checkpoint,
    report_epochs,
    require_labels,
    tested_epochs,
)
from memguard.training.machine import warn_of_busy_cores
from memguard.training.moved import name_present_places
from memguard.training.patch_sizes import settle_patch_sizes
from memguard.training.provenance import Provenance
from memguard.training.run_folder import begin_run
from memguard.training.settings import plain_settings, read_settings
from memguard.training.trained import (
    as_trained,
    detector_to_test,
    filled_detector,
    load_best,
    require_working,
)
from memguard.training.trainer import (
    begin_training,
    build_trainer,
    logged,
    silence_advice,
    training_callbacks,
    write_results,
)
from memguard.training.trial import require_working_optimizer, require_working_step

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

    Example:
        >>> import memguard
        >>> config = memguard.compose([
        ...     "dataset=folder", "dataset.root=door", "model=mnad_tiny",
        ...     "trainer.max_epochs=1", "logger=csv",
        ... ])
        >>> metrics = memguard.train(config, "runs/door")
        >>> metrics["test/frames"], metrics["test/frames_anomalous"]
        (16.0, 10.0)
    """
    run = begin_run(config, folder, in_sweep=in_sweep)
    name_present_places(config)
    validate_training(config)
    if config.print_config and not in_sweep:
        print_config(config)
    provenance = Provenance(config.seed)
    begin_training(config)
    trust = trust_of(config)
    settle_patch_sizes(config, trust)
    detector = _detector_to_train(config) if config.train else detector_to_test(config)
    benchmark = build_benchmark(config, trust)
    if config.train:
        _require_training_videos(benchmark)
    else:
        benchmark = replace(benchmark, train=())
    if not config.test:
        benchmark = replace(benchmark, test=())
    datamodule = build_datamodule(config, benchmark, trust)
    callbacks = training_callbacks(config) if config.train else ()
    trainer = build_trainer(config, list(callbacks), run)
    with closing(trainer.loggers), misconfiguration_reported():
        if config.train:
            lost = lost_process_reported(run.folder / "checkpoints" / "last.ckpt")
            with lost, damage_reported(config.checkpoint):
                trainer.fit(detector, datamodule, ckpt_path=config.checkpoint, weights_only=True)
        metrics = logged(trainer) | load_best(trainer, detector)  # the test clears them
        _say_supported_rates(detector, datamodule)
        return _test(trainer, detector, datamodule, config, provenance, run.folder, metrics)


def evaluate(config: DictConfig, folder: Path | str, *, in_sweep: bool = False) -> dict[str, float]:
    """Test the detector of a checkpoint, or a baseline that needs none, and write the run folder.

    Args:
        config: An evaluation, as :func:`memguard.compose` composes it. A value that is null stays
            as in training, or as published for a baseline. ``run`` stands for the last checkpoint
            of a run folder; ``every_epoch`` tests the other epochs there as well.
        folder: The run folder, made where it is missing.
        in_sweep: Whether this is a job of a sweep.

    Returns:
        The content of ``metrics.json``.

    Raises:
        UserError: The configuration, a video, a label file or the checkpoint cannot be used, or
            the folder holds the results of another run.

    Example:
        >>> import memguard
        >>> changes = ["checkpoint=runs/door/checkpoints/last.ckpt", "scoring=patch"]
        >>> config = memguard.compose([*changes, "logger=csv"], command="evaluate")
        >>> metrics = memguard.evaluate(config, "runs/door_patch")
        >>> metrics["test/frames"], metrics["test/frames_anomalous"]
        (16.0, 10.0)
    """
    run = begin_run(config, folder, in_sweep=in_sweep)
    name_present_places(config)
    validate_by(EvaluationSettings, config)
    trust = trust_of(config)
    if config.run:
        config.checkpoint = str(last_checkpoint(Path(config.run)))
    epochs = epoch_checkpoints(Path(config.run)) if config.every_epoch else []
    checkpoint = _checkpoint_to_test(config, trust)
    path = Path(config.checkpoint) if config.checkpoint else None
    requested, config = config, as_trained(path, checkpoint, config)
    require_working(path, config, requested)
    provenance = Provenance(config.seed)
    silence_advice()
    warn_of_busy_cores()
    settle_patch_sizes(config, trust)
    if path is None:
        scorer: FrameScorer = PreviousFrame(build("scoring", config.scoring, trust))
    else:
        scorer = filled_detector(path, config, checkpoint, trust)
    benchmark = replace(build_benchmark(config, trust), train=())
    if epochs:
        require_labels(benchmark)
    datamodule = build_datamodule(config, benchmark, trust)
    trainer = build_trainer(config, [], run)
    with closing(trainer.loggers), misconfiguration_reported():
        tests = tested_epochs(epochs, config, datamodule, run) if epochs else {}
        metrics = _test(trainer, scorer, datamodule, config, provenance, run.folder, metrics={})
        if tests:
            report_epochs(trainer, run.folder, tests, metrics, config.optimized_metric)
        return metrics


def prepare(config: DictConfig, *, dataset: str | None = None) -> Preparation:
    """Inspect and convert the videos of a dataset, and print a table of them.

    Args:
        config: A preparation, as :func:`memguard.compose` composes it.
        dataset: The name of the dataset, which ``download=true`` needs.

    Returns:
        Every video with its frames, labels and problems.

    Raises:
        UserError: The dataset, a video or its labels cannot be used, or the download fails;
            the message has a line for each problem.

    Example:
        >>> import memguard
        >>> config = memguard.compose(["dataset=folder", "dataset.root=door"], "prepare")
        >>> preparation = memguard.prepare(config)
        >>> [len(videos) for videos in (preparation.train, preparation.test)]
        [2, 1]
    """
    validate_by(PrepareSettings, config)
    trust = trust_of(config)
    if config.download:
        if dataset is None:
            raise ConfigError("download=true needs the name of the dataset: pass dataset=…")
        download(dataset, Path(config.dataset.root), partial(find_benchmark, config, trust))
    benchmark = build_benchmark(config, trust)
    cache_dir = Path(config.paths.cache_dir).expanduser()
    preparation = prepare_benchmark(benchmark, cache_dir, length=config.window)
    Console().print(preparation_table(benchmark.title, preparation))
    preparation.require_no_problem()
    return preparation


def _require_training_videos(benchmark: Benchmark) -> None:
    if not benchmark.train:
        raise DataError(
            f"{benchmark.name} has no training videos, and its test alone trains nothing: add them "
            "below dataset.root, or test a checkpoint with memguard.evaluate."
        )


def _detector_to_train(config: DictConfig) -> Detector:
    """Build the detector that a training begins with, new or with the weights of another."""
    if config.checkpoint:
        require_resumable(Path(config.checkpoint), config)
    trust = trust_of(config)
    detector = build_detector(config, trust)
    require_working_optimizer(detector)
    require_working_step(detector, config)
    if config.weights:
        detector.begin_from(read_weights(Path(config.weights), config))
    if (denoiser := OmegaConf.select(config, "denoise.weights")) and not config.checkpoint:
        weights = read_denoiser(Path(denoiser), config)
        detector.load_state_dict(detector.state_dict() | weights)
    detector.held_out.ignored = ignored_places(config.ignored, sides(config.data.frame_size))
    return detector


def _checkpoint_to_test(config: DictConfig, trust: Trust) -> dict[str, Any]:
    """Read the checkpoint, or return the settings of a baseline in the form of one."""
    if config.checkpoint is None:
        settings, _ = read_settings(plain_settings(published_settings("pred")), config.paths)
        return {CONFIG_KEY: settings}
    return read_checkpoint(Path(config.checkpoint), trust=trust, paths=config.paths)


@rank_zero_only
def _say_supported_rates(detector: Detector, datamodule: ClipDataModule) -> None:
    """Say which rates of false alarms the held-out frames of a training support."""
    if datamodule.fps and detector.alarm.calibrated:
        log.info("Held out: %s", supported_rates(detector.alarm, datamodule.fps))


def _test(
    trainer: pl.Trainer,
    scorer: FrameScorer,
    datamodule: ClipDataModule,
    config: DictConfig,
    provenance: Provenance,
    folder: Path,
    metrics: Mapping[str, float],
) -> dict[str, float]:
    """Test unless the configuration leaves the test out, and write the run folder.

    Returns:
        The given metrics of the training, and those of the test.
    """
    tested = _tested(trainer, scorer, datamodule) if config.get("test", True) else None
    metrics = {**metrics, **logged(trainer)}
    return write_results(trainer, datamodule, config, provenance, folder, metrics, tested)


def _tested(
    trainer: pl.Trainer, scorer: FrameScorer, datamodule: ClipDataModule
) -> FinishedTest | None:
    """Score the test videos; None where there are none, or a limit leaves out all of them."""
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
            "trainer.fast_dev_run): do not compare these figures with those of a whole test."
        )
    sizes = ", ".join(f"{height:.3f} × {width:.3f}" for height, width in scorer.scoring.sizes)
    log.info("Patches of %s (height × width, shares of the frame)", sizes)
    scorer.places = PlaceMetrics(datamodule)
    recorder = TestRecorder()
    trainer.callbacks.append(recorder)  # type: ignore[attr-defined]
    trainer.test(scorer, datamodule, verbose=False)
    fps = {number: footage.fps for number, footage in datamodule.tested.items()}
    shape, regions = scorer.frame_shape, scorer.regions
    return FinishedTest(
        scorer.frames, names, scorer.scoring, shape, recorder, regions, fps,
        places=scorer.place_metrics,
    )  # fmt: skip
