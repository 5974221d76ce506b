"""Builders: from settings to memguard's own objects, and to the user's own where they say so.

Settings may come out of a file that somebody else made. So each key has a table of the classes that
it may name, and what is not in it is imported only under the user's :class:`Trust`.
"""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning import LightningDataModule

from memguard.config.trainer import refused_by
from memguard.config.trust import (
    INSTRUCTIONS,
    NOBODY,
    TARGET,
    NotTrustedError,
    Trust,
    require_allowed,
)
from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.avenue import avenue
from memguard.data.datasets.benchmark import Benchmark, LabelsMissingError
from memguard.data.datasets.folder import folder
from memguard.data.datasets.shanghaitech import shanghaitech
from memguard.data.datasets.street import street
from memguard.data.datasets.ucsd import ped1, ped2
from memguard.detection.detector import Detector
from memguard.detection.guard import MemoryGuard
from memguard.errors import CheckpointError, ConfigError, UserError
from memguard.model.autoencoder import Autoencoder
from memguard.model.memory.mnad import Memory
from memguard.scoring.protocols import ScoreConfig
from memguard.training.settings import MISSING

log = logging.getLogger(__name__)

OPTIMIZERS = (
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
)

# By key, the classes that settings may name without ``trust``.
OWN: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "model": {"memguard.model.autoencoder.Autoencoder": Autoencoder},
    "memory": {"memguard.model.memory.mnad.Memory": Memory},
    "guard": {"memguard.detection.guard.MemoryGuard": MemoryGuard},
    "scoring": {"memguard.scoring.protocols.ScoreConfig": ScoreConfig},
    "data": {"memguard.data.clips.datamodule.ClipDataModule": ClipDataModule},
    "dataset": {
        "memguard.data.datasets.avenue.avenue": avenue,
        "memguard.data.datasets.folder.folder": folder,
        "memguard.data.datasets.shanghaitech.shanghaitech": shanghaitech,
        "memguard.data.datasets.street.street": street,
        "memguard.data.datasets.ucsd.ped1": ped1,
        "memguard.data.datasets.ucsd.ped2": ped2,
    },
    "optimizer": {f"torch.optim.{name}": getattr(torch.optim, name) for name in OPTIMIZERS},
}

# Other classes that a file may name; an evaluation ignores them, and none is built.
NAMED_ONLY: Mapping[str, Iterable[str]] = {
    "trainer": ("pytorch_lightning.Trainer",),
    "trainer.strategy": ("pytorch_lightning.strategies.DDPStrategy",),
    "trainer.strategy.timeout": ("datetime.timedelta",),
}

# The base class that the user's own class must have, if the rest of memguard relies on it.
KINDS: Mapping[str, type] = {
    "model": torch.nn.Module,
    "memory": torch.nn.Module,
    "guard": torch.nn.Module,
    "data": LightningDataModule,
    "dataset": Benchmark,
    "scoring": ScoreConfig,
}

# Arguments that a builder gives by itself.
GIVEN = {"data": ("benchmark", "videos_apart"), "optimizer": ("params",)}

# Settings of a dataset that say how to read its files, in any layout.
LOADING_KEYS = ("on_error", "cache")


def require_buildable(settings: Mapping[str, Any], trust: Trust) -> None:
    """Make sure that plain settings ask for nothing but what may be built.

    Args:
        settings: A whole configuration in plain types.
        trust: Whose classes are allowed beside memguard's own.

    Raises:
        NotTrustedError: They ask for something else, or own classes do not take an argument.
    """
    for group, node in settings.items():
        require_allowed(group, node, {**OWN, **NAMED_ONLY}, trust)
        if isinstance(node, dict) and (own := OWN.get(group, {}).get(node.get(TARGET, MISSING))):
            _require_arguments(group, node, own)


def _require_arguments(group: str, node: Mapping[str, Any], own: Callable[..., Any]) -> None:
    taken = set(inspect.signature(own).parameters).difference(GIVEN.get(group, ()))
    others = (*INSTRUCTIONS, *(LOADING_KEYS if group == "dataset" else ()))
    for name, value in node.items():
        if name in others:
            continue
        if name not in taken:
            raise NotTrustedError(
                f"{group}.{name} is nothing that {node[TARGET]} takes; it takes "
                f"{', '.join(sorted(taken))}"
            )
        if isinstance(value, dict):
            raise NotTrustedError(f"{group}.{name} is a group, but {node[TARGET]} takes a value")


def build(group: str, settings: DictConfig, trust: Trust = NOBODY, **given: Any) -> Any:
    """Make what a group of settings describes.

    Args:
        group: Its key.
        settings: With the class as ``_target_``, and its arguments.
        trust: Whose classes are built beside memguard's own.
        given: Arguments that are no settings.

    Raises:
        ConfigError: The settings name something that is not allowed, or do not fit their class.
    """
    tree: Any = OmegaConf.to_container(settings, resolve=True)
    try:
        require_buildable({group: tree}, trust)
    except NotTrustedError as error:
        raise ConfigError(f"{error}.") from None
    own = OWN[group].get(tree.get(TARGET, MISSING))
    arguments = {name: value for name, value in tree.items() if name not in INSTRUCTIONS}
    with refused_by(group):
        # Called apart from Hydra, which would turn a benchmark into a configuration.
        make = partial(own, **arguments) if own else instantiate(settings, _partial_=True)
        made = make if group == "optimizer" else make(**given)
    if not isinstance(made, kind := KINDS.get(group, object)):
        raise ConfigError(
            f"{group}.{TARGET}={tree.get(TARGET)} cannot work: it makes a {type(made).__name__}, "
            f"but {group} must be a {kind.__name__}."
        )
    return made


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
        benchmark = _find_benchmark(config, trust)
    except LabelsMissingError as missing:
        benchmark, reason = missing.benchmark, f" ({missing})"
    if benchmark.test and all(record.labels is None for record in benchmark.test):
        log.warning(
            "%s has no labels: its test videos are scored, but no AUROC can be counted%s.",
            benchmark.name, reason,
        )  # fmt: skip
    return benchmark


def _find_benchmark(config: DictConfig, trust: Trust) -> Benchmark:
    dataset = cast(dict[str, Any], OmegaConf.to_container(config.dataset, resolve=True))
    tree = {key: value for key, value in dataset.items() if key not in LOADING_KEYS}
    return cast(Benchmark, build("dataset", OmegaConf.create(tree), trust))


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
        compactness=config.loss.compactness,
        separateness=config.loss.separateness,
        margin=config.loss.margin,
        optimizer=build("optimizer", config.optimizer, trust),
        scoring=build("scoring", config.scoring, trust),
        # In 32 bits a CPU is slower so: experiments/benchmarks/README.md.
        channels_last="16" in str(config.trainer.precision),
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
    for group, prefix in (("model", "autoencoder."), ("memory", "memory.")):
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
