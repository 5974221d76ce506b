"""An experiment: from a composed configuration to a trained and tested detector and its folder."""

import csv
import json
import logging
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from memguard.config import require_complete, validate
from memguard.data.datamodule import ClipDataModule
from memguard.data.download import download
from memguard.data.layouts import Benchmark
from memguard.data.preparation import Preparation
from memguard.data.preparation import prepare as prepare_benchmark
from memguard.detector import Detector
from memguard.errors import CheckpointError, UserError
from memguard.protocols import one_class_videos
from memguard.provenance import Provenance
from memguard.report.preparation import preparation_table

CONFIG_KEY = "memguard_config"

# What of a configuration decides on the shape of the weights and on what they were trained to do.
SHAPE_KEYS = ("task.name", "model.width", "memory.size", "memory.dim", "data.channels")

# What of a dataset's settings is about reading its files, whatever their layout.
LOADING_KEYS = ("on_error", "cache")

log = logging.getLogger(__name__)


def train(config: DictConfig) -> dict[str, float]:
    """Train a detector, test it, and write the run folder.

    Args:
        config: As ``conf/train.yaml`` composes it.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        UserError: The configuration, a video, a label file or the checkpoint cannot be used.
    """
    validate(config)
    provenance = Provenance(config.seed)
    _quieten()
    pl.seed_everything(config.seed, workers=True, verbose=False)
    # The resolver's answer, not its question, goes into the checkpoint.
    config.trainer.precision = config.trainer.precision
    resume = config.checkpoint and _resumable(Path(config.checkpoint), config)
    datamodule = build_datamodule(config, build_benchmark(config))
    detector = build_detector(config)
    trainer = build_trainer(config, [RememberConfig(config)])
    trainer.fit(detector, datamodule, ckpt_path=resume, weights_only=True)
    return _test(trainer, detector, datamodule, provenance)


def evaluate(config: DictConfig) -> dict[str, float]:
    """Test the detector of a checkpoint, and write the run folder.

    Args:
        config: As ``conf/evaluate.yaml`` composes it; what is null in it stays as in training.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        UserError: The configuration, a video, a label file or the checkpoint cannot be used.
    """
    require_complete(config)
    checkpoint = read_checkpoint(Path(config.checkpoint))
    config = _as_trained(OmegaConf.create(checkpoint[CONFIG_KEY]), config)
    validate(config)
    provenance = Provenance(config.seed)
    _quieten()
    benchmark = replace(build_benchmark(config), train=())
    datamodule = build_datamodule(config, benchmark)
    detector = build_detector(config)
    detector.load_state_dict(checkpoint["state_dict"])
    trainer = build_trainer(config, [])
    return _test(trainer, detector, datamodule, provenance)


def prepare(config: DictConfig) -> Preparation:
    """Fetch a dataset if asked to, inspect and convert its videos, and print what was found.

    Args:
        config: As ``conf/prepare.yaml`` composes it.

    Raises:
        UserError: The dataset cannot be fetched or found, or a video or its labels cannot be used;
            the message has a line for each problem.
    """
    require_complete(config)
    if config.download:
        download(HydraConfig.get().runtime.choices["dataset"], Path(config.dataset.root))
    benchmark = build_benchmark(config)
    cache_dir = Path(config.paths.cache_dir).expanduser()
    preparation = prepare_benchmark(benchmark, cache_dir, length=config.window)
    Console().print(preparation_table(benchmark.title, preparation))
    preparation.require_no_problem()
    return preparation


def build_datamodule(config: DictConfig, benchmark: Benchmark) -> ClipDataModule:
    """Make the datamodule that streams a dataset's videos."""
    # Called apart from Hydra, which would turn a benchmark into a configuration.
    return instantiate(config.data, _partial_=True)(benchmark=benchmark)


def build_benchmark(config: DictConfig) -> Benchmark:
    """Find the dataset's videos and labels."""
    dataset = cast(dict[str, Any], OmegaConf.to_container(config.dataset, resolve=True))
    layout = {key: value for key, value in dataset.items() if key not in LOADING_KEYS}
    try:
        return instantiate(layout)
    except InstantiationException as error:
        # Hydra wraps it, and would print it as Python writes exceptions.
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from None
        raise


def build_detector(config: DictConfig) -> Detector:
    """Put the detector together, with weights and items as the seed has them."""
    return Detector(
        instantiate(config.model),
        instantiate(config.memory),
        instantiate(config.guard),
        compactness=config.loss.compactness,
        separateness=config.loss.separateness,
        margin=config.loss.margin,
        optimizer=instantiate(config.optimizer),
        score_weight=config.scoring.weight,
        channels_last=config.channels_last,
    )


def build_trainer(config: DictConfig, callbacks: list[pl.Callback]) -> pl.Trainer:
    """Make the trainer, with the configured loggers and callbacks beside the given ones."""
    loggers = [instantiate(logger) for logger in config.logger.values()]
    for logger in loggers:
        logger.log_hyperparams(plain_config(config))
    return instantiate(
        config.trainer,
        logger=loggers,
        callbacks=callbacks + [instantiate(callback) for callback in config.callbacks.values()],
        default_root_dir=str(run_folder()),
    )


class RememberConfig(pl.Callback):
    """Puts the configuration into every checkpoint, so that it can be evaluated by itself."""

    def __init__(self, config: DictConfig) -> None:
        self._config = plain_config(config)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add it."""
        checkpoint[CONFIG_KEY] = self._config


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of ours, without running anything that a file may ask for.

    Raises:
        CheckpointError: There is no such file, or it is not a whole checkpoint of memguard.
    """
    if not path.is_file():
        raise CheckpointError(
            f"There is no checkpoint {path}: set checkpoint to the checkpoints/last.ckpt of a "
            f"training run's folder."
        )
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its unpickler and zip reader meet
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({type(error).__name__}): it is damaged or of "
            f"another program; set checkpoint to the checkpoints/last.ckpt of a training run."
        ) from error
    if not isinstance(checkpoint, dict) or CONFIG_KEY not in checkpoint:
        raise CheckpointError(
            f"{path} is not a checkpoint of memguard: set checkpoint to the checkpoints/last.ckpt "
            f"of a training run's folder."
        )
    return checkpoint


def _resumable(path: Path, config: DictConfig) -> str:
    """Make sure that a checkpoint's training can go on under this configuration."""
    checkpoint = read_checkpoint(path)
    if "optimizer_states" not in checkpoint:
        raise CheckpointError(
            f"{path} was imported, so that no training can go on from it: evaluate it, or leave "
            f"checkpoint out."
        )
    trained = OmegaConf.create(checkpoint[CONFIG_KEY])
    for key in SHAPE_KEYS:
        before, now = OmegaConf.select(trained, key), OmegaConf.select(config, key)
        if before != now:
            raise CheckpointError(
                f"{path} was trained with {key}={before}, but this run has {key}={now}: give the "
                f"settings it was trained with, or leave checkpoint out."
            )
    return str(path)


def _as_trained(trained: DictConfig, asked: DictConfig) -> DictConfig:
    """Lay what was asked for over what was trained; null means as trained."""
    if "_target_" in asked.dataset:
        trained.dataset = {}
    merged = OmegaConf.merge(trained, _without_null(OmegaConf.to_container(asked)))
    return cast(DictConfig, merged)


def _without_null(tree: Any) -> dict[str, Any]:
    pruned = {k: _without_null(v) if isinstance(v, dict) else v for k, v in tree.items()}
    return {key: value for key, value in pruned.items() if value is not None}


def run_folder() -> Path:
    """Where this run writes."""
    return Path(HydraConfig.get().runtime.output_dir)


def plain_config(config: DictConfig) -> dict[str, Any]:
    """What describes the experiment and not the run, in plain types, interpolations kept."""
    tree = cast(dict[str, Any], OmegaConf.to_container(config))
    return {k: v for k, v in tree.items() if k not in ("logger", "callbacks", "checkpoint")}


def _quieten() -> None:
    """Leave out the advice of Lightning that does not hold here."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    for advice in (
        ".*does not have many workers.*",  # threads decode ahead
        ".*has `__len__` defined.*",  # the streams count their batches themselves
        ".*smaller than the logging interval.*",  # small sets may have short epochs
        ".*LeafSpec.*is deprecated.*",  # how Lightning speaks to torch is not the user's to mend
    ):
        warnings.filterwarnings("ignore", advice)


def _test(
    trainer: pl.Trainer, detector: Detector, datamodule: ClipDataModule, provenance: Provenance
) -> dict[str, float]:
    """Test, where there is something to test on, and write the run folder's files."""
    if datamodule.benchmark.test:
        trainer.test(detector, datamodule, verbose=False)
        _write_scores(detector, datamodule)
    else:
        log.warning("%s has no test videos: nothing was tested.", datamodule.benchmark.name)
    metrics = {
        name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name
    }
    if datamodule.on_error == "skip":
        metrics |= {f"data/skipped_{split}": n for split, n in datamodule.skipped.items()}
    _write_json("metrics.json", metrics)
    benchmark = datamodule.benchmark
    dataset = {"dataset": benchmark.name, "label_set": benchmark.label_set}
    _write_json("provenance.json", dataset | provenance.finish())
    _print_summary(f"Test on {benchmark.title}", metrics, _names_left_out(detector, datamodule))
    return metrics


def _names_left_out(detector: Detector, datamodule: ClipDataModule) -> list[str]:
    if not detector.frames:
        return []
    return [datamodule.benchmark.test[number].name for number in one_class_videos(detector.frames)]


def _write_json(name: str, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=False)
    (run_folder() / name).write_text(text + "\n", encoding="utf-8")


SCORE_COLUMNS = ("video", "frame", "psnr", "distance", "regular", "written", "score", "label")


def _write_scores(detector: Detector, datamodule: ClipDataModule) -> None:
    """Write a row per scored frame; an unknown label is left empty."""
    names = [record.name for record in datamodule.benchmark.test]
    columns = [detector.frames[name].tolist() for name in SCORE_COLUMNS]
    with (run_folder() / "scores.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(SCORE_COLUMNS)
        for video, frame, *numbers, written, score, label in zip(*columns, strict=True):
            known = int(label) if label >= 0 else ""
            row = [names[int(video)], int(frame), *(f"{x:.8g}" for x in numbers)]
            writer.writerow([*row, int(written), f"{score:.8g}", known])


def _print_summary(title: str, metrics: dict[str, float], left_out: list[str]) -> None:
    console = Console()
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        if name.startswith(("test/", "guard/")):
            table.add_row(name, f"{value:.0f}" if "frames" in name else f"{value:.4f}")
    console.print(table)
    if "test/frames_anomalous" in metrics and "test/auroc" not in metrics:
        console.print("There is no AUROC: the labelled frames are all of one class.")
    elif left_out:
        console.print(
            f"test/auroc_macro leaves out {', '.join(left_out)}: their frames are all of one class."
        )
    for path in sorted(run_folder().rglob("*")):
        # W&B keeps copies in a folder of its own, and says itself where.
        ours = path.relative_to(run_folder()).parts[0] != "wandb"
        if ours and path.suffix in (".json", ".csv", ".png", ".ckpt"):
            console.print(str(path), soft_wrap=True, highlight=False)
