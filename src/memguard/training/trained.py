"""Restore trained detectors from checkpoints, for tests and for scoring."""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

from memguard.config.compose import register_resolvers
from memguard.config.problems import find_problems
from memguard.config.schema import DetectorSettings
from memguard.config.sentences import Problem, listed, shown
from memguard.config.trainer import has_accelerator
from memguard.config.trust import NOBODY, PARTS, TARGET, Trust, trust_of
from memguard.data.datasets.street import is_complete
from memguard.detection.detector import Detector
from memguard.detection.frame_scorer import FrameScorer
from memguard.errors import CheckpointError, ConfigError
from memguard.training.build import build_detector, require_fitting
from memguard.training.buildable import LOADING_KEYS
from memguard.training.checkpoints import (
    CONFIG_KEY,
    FPS_KEY,
    UNKNOWN_KEY,
    changed_settings,
    read_checkpoint,
)
from memguard.training.resume import decides_test, refusal_to_test
from memguard.training.settings import MISSING, leaves, own_paths

log = logging.getLogger(__name__)

# All that is taken from a training's trainer. Devices, limits and folders are the reader's own.
TAKEN_OF_TRAINER = ("accelerator", "precision", "max_epochs", "deterministic")

STREET = "memguard.data.datasets.street.street"

# The groups that a detector is made from.
NEEDED = ("task", *PARTS, "loss", "optimizer")

# The scale of the errors that an alarm has learned follows from these.
OF_ALARM = ("scoring.patch", "scoring.smoothing", "data.frame_size")

# The reader's own, in place of the file's.
OWN: dict[str, Any] = {
    "trainer": {
        TARGET: "pytorch_lightning.Trainer",
        "accelerator": "auto",
        "num_sanity_val_steps": 0,
        "enable_model_summary": False,
        "use_distributed_sampler": False,
    },
    "data": {"cache_dir": "${paths.cache_dir}"},
    "dataset": {"on_error": "raise", "cache": "none"},
}


def restore(
    path: Path,
    requested: DictConfig | None = None,
    trust: Trust = NOBODY,
    *,
    with_dataset: bool = True,
) -> tuple[Detector, DictConfig]:
    """Restore a trained detector.

    Args:
        path: A checkpoint of a training.
        requested: Changes of its configuration; an absent or null value stays as trained.
        trust: Whose classes the checkpoint may name beside memguard's own.
        with_dataset: Whether the configuration is to have the training's dataset.

    Returns:
        The detector, and its configuration.

    Raises:
        CheckpointError: It cannot be read, or names something else than memguard's own classes, or
            a change would leave its alarm on another scale.
    """
    requested = requested or OmegaConf.create()
    saved = read_checkpoint(path, trust=trust)
    _require_same_scale(path, saved, requested)
    if not with_dataset:
        saved[CONFIG_KEY].pop("dataset", None)
    config = as_trained(path, saved, requested)
    if not with_dataset:
        del config.dataset
    require_working(path, config, requested)
    return filled_detector(path, config, saved, trust), config


def restored_detector(path: Path, trust: str | Sequence[str] = ()) -> Detector:
    """Restore a trained detector alone, in evaluation mode.

    Args:
        path: A checkpoint of a training.
        trust: Packages whose classes the checkpoint may name beside memguard's own.

    Raises:
        CheckpointError: It cannot be read, or names something else than memguard's own classes.
    """
    register_resolvers()
    detector, _config = restore(path, trust=trust_of(None, trust), with_dataset=False)
    return detector.eval()


# The detector's own room is below this one and cannot import it.
Detector.restore = staticmethod(restored_detector)


def detector_to_test(config: DictConfig) -> Detector:
    """Restore the detector of a training's checkpoint under the training's own configuration.

    Args:
        config: Of a training, with a checkpoint.

    Raises:
        CheckpointError: It cannot be read, or its weights belong to other settings.
    """
    path, trust = Path(config.checkpoint), trust_of(config)
    saved = read_checkpoint(path, trust=trust, paths=dict(config.paths))
    found = [change for change in changed_settings(saved, config) if decides_test(change[0])]
    if found:
        raise CheckpointError(refusal_to_test(path, found))
    return filled_detector(path, config, saved, trust)


def load_best(trainer: pl.Trainer, detector: FrameScorer) -> dict[str, float]:
    """Load the weights of the best epoch, where a metric has chosen one.

    Args:
        trainer: After its training.
        detector: That it has trained.

    Returns:
        The metric of that epoch, by its name; nothing where the last epoch is tested.
    """
    keeper = trainer.checkpoint_callback
    if not isinstance(keeper, ModelCheckpoint) or not keeper.monitor or not keeper.best_model_path:
        return {}
    best = torch.load(keeper.best_model_path, map_location="cpu", weights_only=True)
    detector.load_state_dict(best["state_dict"])
    score = float(keeper.best_model_score or 0)
    log.info("Epoch %d is tested, the best by %s (%.4g)", best["epoch"] + 1, keeper.monitor, score)
    return {keeper.monitor: score}


def filled_detector(
    path: Path, config: DictConfig, saved: Mapping[str, Any], trust: Trust
) -> Detector:
    """Build a checkpoint's detector, and load its weights and items.

    Raises:
        CheckpointError: They do not fit the configuration.
    """
    require_fitting(path, config, saved["state_dict"])
    detector = build_detector(config, trust)
    try:
        detector.load_state_dict(saved["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:  # torch's, of names and shapes
        detail = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{path}: its weights do not fit its configuration ({detail})."
        ) from error
    fps = saved.get(FPS_KEY)
    detector.trained_fps = fps if isinstance(fps, float) and 0 < fps < math.inf else None
    return detector


def as_trained(path: Path | None, saved: Mapping[str, Any], requested: DictConfig) -> DictConfig:
    """Lay a request over a checkpoint's configuration; null in it means as trained.

    Folders, devices, limits and how files are read are the reader's own. ``compile`` is false,
    because a test has no training step, and ``test`` is true.

    Args:
        path: The checkpoint; None for settings that are no file's.
        saved: From :func:`memguard.training.checkpoints.read_checkpoint`.
        requested: The configuration of the command.

    Raises:
        CheckpointError: A value is an expression, and the request does not replace it; or a scene
            would have to be generated where the file says; or a group of settings is missing.
    """
    changes = _without_null(OmegaConf.to_container(requested))
    paths = own_paths() | changes.get("paths", {})
    trained = _taken(saved[CONFIG_KEY], dataset=TARGET not in changes.get("dataset", {}))
    whole = {"compile": False, "test": True}
    layers: list[dict[str, Any]] = [OWN, trained, {"paths": paths}, changes, whole]
    merged = cast(DictConfig, OmegaConf.merge(*layers))
    missing = {key for key, value in leaves(OmegaConf.to_container(merged)) if value == MISSING}
    for key, text in saved.get(UNKNOWN_KEY, {}).items():
        if key in missing:
            raise CheckpointError(
                f"{path}: {key} is the expression {text[:80]!a}, which is not evaluated, as no "
                f"file may read the environment or other files: add {key}=… to the command."
            )
    if path:
        _require_whole(path, merged)
    if path and not {TARGET, "root"} & changes.get("dataset", {}).keys():
        _require_scene(path, merged)
    return merged


def require_working(path: Path | None, config: DictConfig, requested: DictConfig) -> None:
    """Refuse settings that cannot work, and name the checkpoint if the value is from there.

    Args:
        path: The checkpoint; None for settings that are no file's.
        config: From :func:`as_trained`.
        requested: The configuration of the command.

    Raises:
        CheckpointError: A value that the file holds is missing or impossible.
        ConfigError: A value of the command is.
    """
    problems = find_problems(DetectorSettings, config)
    message = listed([problem.sentence for problem in problems])
    if path and not all(_is_requested(problem, requested) for problem in problems):
        raise CheckpointError(f"{path}: {message}")
    if problems:
        raise ConfigError(message)


def _is_requested(problem: Problem, requested: DictConfig) -> bool:
    return any(OmegaConf.select(requested, key) is not None for key in problem.keys)


def _require_whole(path: Path, settings: DictConfig) -> None:
    """Make sure that settings have all that a detector is made from.

    Raises:
        CheckpointError: A group or its class is missing.
    """
    if "task" not in settings and OmegaConf.select(settings, f"denoise.{TARGET}"):
        raise CheckpointError(
            f"{path} holds a denoiser alone: train a detector with denoise.weights={path}."
        )
    for group in NEEDED:
        if group not in settings:
            raise CheckpointError(
                f"{path}: its settings of {group} are missing: this file is damaged or was changed."
            )
        if group in PARTS and OmegaConf.select(settings, f"{group}.{TARGET}") is None:
            raise CheckpointError(
                f"{path}: its settings of {group} name no class ({TARGET}): this file is damaged "
                "or was changed."
            )


def _taken(settings: Mapping[str, Any], *, dataset: bool) -> dict[str, Any]:
    """Select the settings that an evaluation takes from a training."""
    tree = dict(settings)
    trainer = {k: v for k, v in tree.get("trainer", {}).items() if k in TAKEN_OF_TRAINER}
    # A detector of a machine with a GPU is also read where there is none.
    if not has_accelerator(trainer.get("accelerator", "auto")):
        del trainer["accelerator"]
    tree["trainer"] = trainer
    tree["data"] = _without(tree.get("data", {}), LOADING_KEYS)
    tree["dataset"] = _without(tree.get("dataset", {}), LOADING_KEYS) if dataset else {}
    return tree


def _require_same_scale(path: Path, saved: Mapping[str, Any], requested: DictConfig) -> None:
    """Refuse changes by which errors would be compared with an alarm of others.

    Raises:
        CheckpointError: There is one.
    """
    trained = OmegaConf.create(saved[CONFIG_KEY])
    for key in OF_ALARM:
        before, now = OmegaConf.select(trained, key), OmegaConf.select(requested, key)
        if None not in (before, now) and before != now:
            raise CheckpointError(
                f"{path}: its alarm has learned errors with {key}={shown(before)}, and those with "
                f"{key}={shown(now)} are on another scale: leave {key} out, or train with it."
            )


def _without(tree: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in tree.items() if name not in names}


def _without_null(tree: Any) -> dict[str, Any]:
    pruned = {k: _without_null(v) if isinstance(v, dict) else v for k, v in tree.items()}
    return {key: value for key, value in pruned.items() if value is not None}


def _require_scene(path: Path, config: DictConfig) -> None:
    """Refuse to generate the street scene in a folder that a file chooses."""
    dataset = config.dataset
    root = dataset.get("root")
    if dataset.get(TARGET) != STREET or root is None:
        return
    inside = Path(os.path.abspath(root)).is_relative_to(os.path.abspath(config.paths.data_dir))
    if not inside and not is_complete(Path(root)):
        raise CheckpointError(
            f"{path} was trained on the street scene in {root}, where there is none: add "
            "dataset=street to the command."
        )
