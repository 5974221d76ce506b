"""The classes and functions that settings may name.

Settings may come out of a file that somebody else made. So each key has a table of the classes that
it may name, and what is not in it is imported only under the user's :class:`Trust`.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from pytorch_lightning import LightningDataModule

from memguard.config.trust import INSTRUCTIONS, TARGET, NotTrustedError, Trust, require_allowed
from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.datasets.avenue import avenue
from memguard.data.datasets.benchmark import Benchmark
from memguard.data.datasets.folder import folder
from memguard.data.datasets.shanghaitech import shanghaitech
from memguard.data.datasets.street import street
from memguard.data.datasets.ucsd import ped1, ped2
from memguard.detection.guard import MemoryGuard
from memguard.model import losses
from memguard.model.autoencoder import Autoencoder
from memguard.model.denoiser import ADNet
from memguard.model.memory.base import BaseMemory
from memguard.model.memory.growing import GrowingMemory
from memguard.model.memory.memae import MemAEMemory
from memguard.model.memory.mnad import Memory
from memguard.model.memory.multiscale import MultiscaleMemory
from memguard.model.schedules import cosine, warmup_cosine
from memguard.model.total_loss import READABLE
from memguard.scoring.protocols import ScoreConfig
from memguard.training.settings import MISSING

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

# Those that are made from values alone.
SCHEDULERS = (
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "StepLR",
)

# By key, the classes that settings may name without ``trust``.
OWN: Mapping[str, Mapping[str, Callable[..., Any]]] = {
    "model": {"memguard.model.autoencoder.Autoencoder": Autoencoder},
    "memory": {
        "memguard.model.memory.growing.GrowingMemory": GrowingMemory,
        "memguard.model.memory.memae.MemAEMemory": MemAEMemory,
        "memguard.model.memory.mnad.Memory": Memory,
        "memguard.model.memory.multiscale.MultiscaleMemory": MultiscaleMemory,
    },
    "denoise": {"memguard.model.denoiser.ADNet": ADNet},
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
    "scheduler": {
        "memguard.model.schedules.cosine": cosine,
        "memguard.model.schedules.warmup_cosine": warmup_cosine,
        **{
            f"torch.optim.lr_scheduler.{name}": getattr(torch.optim.lr_scheduler, name)
            for name in SCHEDULERS
        },
    },
}

# The classes that a term of the loss may be.
TERMS: Mapping[str, Callable[..., Any]] = {
    f"memguard.model.losses.{term.__name__}": term
    for term in (
        losses.pixel_loss,
        losses.compactness_loss,
        losses.separateness_loss,
        losses.entropy_loss,
        losses.gradient_difference_loss,
        losses.ms_ssim_loss,
    )
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
    "memory": BaseMemory,
    "denoise": torch.nn.Module,
    "guard": torch.nn.Module,
    "data": LightningDataModule,
    "dataset": Benchmark,
    "scoring": ScoreConfig,
}

# Arguments that a builder gives by itself.
GIVEN = {
    "data": ("benchmark", "videos_apart"),
    "optimizer": ("params",),
    "scheduler": ("optimizer", "total_steps"),
}

# Settings of a dataset that say how to read its files, in any layout.
LOADING_KEYS = ("on_error", "cache")

# A setting of each term of the loss, beside its function's own.
WEIGHT = "weight"

# Settings of a group that are no arguments of its class.
BESIDE: Mapping[str, tuple[str, ...]] = {
    "dataset": LOADING_KEYS,
    "denoise": ("weights",),
    "scheduler": ("interval",),
}


def require_buildable(settings: Mapping[str, Any], trust: Trust) -> None:
    """Make sure that plain settings ask for nothing but what may be built.

    Args:
        settings: A whole configuration in plain types.
        trust: Whose classes are allowed beside memguard's own.

    Raises:
        NotTrustedError: They ask for something else, or own classes do not take an argument.
    """
    for group, node in settings.items():
        of_loss = group == "loss" and isinstance(node, dict)
        parts = {f"loss.{name}": term for name, term in node.items()} if of_loss else {group: node}
        tables = dict.fromkeys(parts, TERMS) if of_loss else OWN
        require_allowed(group, node, {**tables, **NAMED_ONLY}, trust)
        for key, part in parts.items():
            target = part.get(TARGET, MISSING) if isinstance(part, dict) else MISSING
            if own := tables.get(key, {}).get(target):
                _require_arguments(key, part, own)


def _require_arguments(key: str, node: Mapping[str, Any], own: Callable[..., Any]) -> None:
    of_term = key.startswith("loss.")
    given = READABLE if of_term else GIVEN.get(key, ())
    taken = set(inspect.signature(own).parameters).difference(given)
    taken |= {WEIGHT} if of_term else set(BESIDE.get(key, ()))
    for name, value in node.items():
        if name in INSTRUCTIONS:
            continue
        if name not in taken:
            raise NotTrustedError(
                f"{key}.{name} is nothing that {node[TARGET]} takes; it takes "
                f"{', '.join(sorted(taken))}. Leave it out by '~{key}.{name}'"
            )
        if isinstance(value, dict):
            raise NotTrustedError(f"{key}.{name} is a group, but {node[TARGET]} takes a value")
