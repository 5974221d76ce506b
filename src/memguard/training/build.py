"""Builders: from settings to memguard's own objects, and to the user's own where they say so."""

import inspect
import logging
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from memguard.config.trainer import refused_by
from memguard.config.trust import INSTRUCTIONS, NOBODY, TARGET, NotTrustedError, Trust
from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.benchmark import Benchmark, LabelsMissingError
from memguard.detection.detector import Detector
from memguard.errors import CheckpointError, ConfigError, UserError
from memguard.model.autoencoder import Autoencoder
from memguard.model.denoiser import Denoiser
from memguard.model.layout import channels_last
from memguard.model.schedules import Schedule
from memguard.model.total_loss import Term, TotalLoss
from memguard.training.buildable import (
    BESIDE,
    KINDS,
    OWN,
    TERMS,
    WEIGHT,
    require_buildable,
)
from memguard.training.settings import MISSING

log = logging.getLogger(__name__)

# Made when a training begins, from what it has by then.
LATER = ("optimizer", "scheduler")

# The terms that a number alone stands for, their weight.
PUBLISHED_TERMS = {
    "pixel": "memguard.model.losses.pixel_loss",
    "compactness": "memguard.model.losses.compactness_loss",
    "separateness": "memguard.model.losses.separateness_loss",
}


def build(group: str, settings: DictConfig, trust: Trust = NOBODY, **given: Any) -> Any:
    """Build the object that a group of settings describes.

    Args:
        group: Its key.
        settings: With the class as ``_target_``, its arguments, and those of :data:`BESIDE`.
        trust: Whose classes are built beside memguard's own.
        given: Arguments that are no settings.

    Raises:
        ConfigError: The settings name something that is not allowed, or do not fit their class.
    """
    resolved: Any = OmegaConf.to_container(settings, resolve=True)
    tree = {name: value for name, value in resolved.items() if name not in BESIDE.get(group, ())}
    try:
        require_buildable({group: tree}, trust)
    except NotTrustedError as error:
        raise ConfigError(f"{error}.") from None
    own = OWN[group].get(tree.get(TARGET, MISSING))
    arguments = {name: value for name, value in tree.items() if name not in INSTRUCTIONS}
    with refused_by(group, "" if own else str(tree.get(TARGET))):
        # Called apart from Hydra, which would turn a benchmark into a configuration.
        make = partial(own, **arguments) if own else _of_ones_own(group, OmegaConf.create(tree))
        made = make if group in LATER else make(**given)
    if not isinstance(made, kind := KINDS.get(group, object)):
        raise ConfigError(
            f"{group}.{TARGET}={tree.get(TARGET)} cannot work: it makes a {type(made).__name__}, "
            f"but {group} must be a {kind.__name__}."
        )
    return made


def _of_ones_own(group: str, settings: DictConfig) -> Callable[..., Any]:
    """Give a class of the user's own its arguments.

    A network that is named alone, ``model._target_=my_pkg.Net``, finds the settings of the
    published one in its group, and is given those that it takes.
    """
    make = cast(Callable[..., Any], instantiate(settings, _partial_=True))
    kind = getattr(make, "func", None)
    if group != "model" or not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
        return make
    taken = inspect.signature(kind).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken):
        return make
    left_out = {*inspect.signature(Autoencoder).parameters} - {each.name for each in taken}
    arguments = cast(partial[Any], make).keywords.items()
    return partial(kind, **{name: value for name, value in arguments if name not in left_out})


def build_datamodule(
    config: DictConfig, benchmark: Benchmark, trust: Trust = NOBODY
) -> ClipDataModule:
    """Make the datamodule that streams a dataset's videos."""
    apart = config.guard.scope == "video" or not config.guard.enabled
    module = build("data", config.data, trust, benchmark=benchmark, videos_apart=apart)
    return cast(ClipDataModule, module)


def build_benchmark(config: DictConfig, trust: Trust = NOBODY) -> Benchmark:
    """Find the dataset's videos, and its labels where there are some."""
    reason = ""
    try:
        benchmark = find_benchmark(config, trust)
    except LabelsMissingError as missing:
        benchmark, reason = missing.benchmark, f" ({missing})"
    if benchmark.test and all(record.labels is None for record in benchmark.test):
        log.warning(
            "%s has no labels: its test videos are scored, but no AUROC can be counted%s.",
            benchmark.name, reason,
        )  # fmt: skip
    return benchmark


def find_benchmark(config: DictConfig, trust: Trust = NOBODY) -> Benchmark:
    """Find the dataset's videos and labels.

    Raises:
        DataError: Videos or labels are missing.
    """
    return cast(Benchmark, build("dataset", config.dataset, trust))


def build_loss(settings: DictConfig, trust: Trust = NOBODY) -> TotalLoss:
    """Make the loss that settings describe.

    Args:
        settings: A group for each term, with its function as ``_target_``, its ``weight`` and the
            function's other arguments. A number alone is the weight of the published term of its
            name, and ``margin`` belongs to the published separateness loss.
        trust: Whose functions are used beside memguard's own.

    Raises:
        ConfigError: A term is not allowed, or does not fit its function.
    """
    tree: Any = OmegaConf.to_container(settings, resolve=True)
    tree = {"pixel": 1.0, **tree}  # no setting of earlier versions
    margin = {"margin": tree.pop("margin")} if "margin" in tree else {}
    for name, node in tree.items():
        if not isinstance(node, dict) and name in PUBLISHED_TERMS:
            arguments = margin if name == "separateness" else {}
            tree[name] = {TARGET: PUBLISHED_TERMS[name], WEIGHT: node, **arguments}
        elif not isinstance(node, dict) or TARGET not in node:
            raise ConfigError(
                f"loss.{name} cannot work: a term is a group with its function as {TARGET} and its "
                f"{WEIGHT}."
            )
    try:
        require_buildable({"loss": tree}, trust)
    except NotTrustedError as error:
        raise ConfigError(f"{error}.") from None
    terms = {name: _term(f"loss.{name}", node) for name, node in tree.items()}
    with refused_by("loss"):
        return TotalLoss(terms)


def _term(key: str, node: Mapping[str, Any]) -> Term:
    arguments = {n: value for n, value in node.items() if n not in (*INSTRUCTIONS, WEIGHT)}
    own = TERMS.get(node.get(TARGET, MISSING))
    with refused_by(key, "" if own else str(node.get(TARGET))):
        if own:
            return Term(partial(own, **arguments), node.get(WEIGHT, 1.0))
        others = {name: value for name, value in node.items() if name != WEIGHT}
        compute = instantiate(others, _partial_=True)
        # A class is made once, and a function is called in each step.
        made = compute() if inspect.isclass(compute.func) else compute
        return Term(made, node.get(WEIGHT, 1.0))


def build_schedule(settings: DictConfig, trust: Trust = NOBODY) -> Schedule | None:
    """Make the schedule of the learning rate; None without a function for it.

    Args:
        settings: The function as ``_target_``, its arguments, and ``interval``.
        trust: Whose functions are used beside memguard's own.

    Raises:
        ConfigError: The function is not allowed, or does not take an argument.
    """
    if settings.get(TARGET) is None:
        return None
    with refused_by("scheduler"):
        return Schedule(build("scheduler", settings, trust), settings.get("interval", "step"))


def build_denoiser(settings: DictConfig | None, trust: Trust = NOBODY) -> Denoiser | None:
    """Make the denoiser that settings describe, with new weights; None without a network for it.

    Args:
        settings: The network as ``_target_``, its arguments, and ``weights``, which is not read;
            None for a checkpoint of an earlier version.
        trust: Whose classes are built beside memguard's own.

    Raises:
        ConfigError: The network is not allowed, or does not take an argument.
    """
    if settings is None or settings.get(TARGET) is None:
        return None
    return Denoiser(build("denoise", settings, trust))


def build_detector(config: DictConfig, trust: Trust = NOBODY) -> Detector:
    """Put the detector together, with weights and items as the seed has them.

    Args:
        config: Of a training.
        trust: Whose classes are built beside memguard's own.
    """
    return Detector(
        build("model", config.model, trust),
        build("memory", config.memory, trust),
        build("guard", config.guard, trust),
        loss=build_loss(config.loss, trust),
        optimizer=build("optimizer", config.optimizer, trust),
        schedule=build_schedule(config.scheduler, trust),
        scoring=build("scoring", config.scoring, trust),
        denoiser=build_denoiser(config.get("denoise"), trust),
        channels_last=channels_last(config.trainer.precision, training=True),
        compiled=config.compile,
    )


def require_fitting(path: Path, config: DictConfig, weights: Mapping[str, Any]) -> None:
    """Require that settings describe the network of these weights, before it takes memory.

    The user's own classes are left to themselves.

    Args:
        path: The checkpoint that both are from.
        config: Its configuration.
        weights: Its ``state_dict``.

    Raises:
        CheckpointError: They do not.
    """
    prefixes = {"model": "autoencoder.", "memory": "memory.", "denoise": "denoiser.network."}
    for group, prefix in prefixes.items():
        if config[group].get(TARGET) not in OWN[group]:
            continue
        try:
            with torch.device("meta"):
                expected = build(group, config[group]).state_dict()
        except (UserError, RuntimeError, OverflowError) as error:
            raise CheckpointError(
                f"{path}: no network can be made from its settings of {group} ({_line(error)})."
            ) from error
        for name, tensor in expected.items():
            saved = weights.get(prefix + name)
            shape = tuple(saved.shape) if isinstance(saved, torch.Tensor) else "missing"
            if shape != tuple(tensor.shape):
                raise CheckpointError(
                    f"{path}: {prefix}{name} is {shape}, but by its settings of {group} it should "
                    f"be {tuple(tensor.shape)}: this file is damaged or was changed."
                )


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
