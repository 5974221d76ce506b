"""Options of Lightning's trainer: their rules, and errors that name their key."""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import cache
from typing import Any

import pytorch_lightning as pl
from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.callbacks import Checkpoint, ProgressBar

from memguard.config.rules import (
    FLAG,
    TEXT,
    Kind,
    Rule,
    choice,
    described,
    either,
    keep_to,
    number,
    or_null,
    whole,
)
from memguard.errors import ConfigError, UserError

# Set by memguard itself, each with the key to use instead.
OURS = {
    "logger": "choose with logger=csv, tensorboard, wandb or none",
    "callbacks": "add one as +callbacks.NAME._target_=…",
    "plugins": "memguard writes whole checkpoints by its own",
    "default_root_dir": "set hydra.run.dir",
    "barebones": "memguard needs what it leaves out; use logger=none",
}

MOST_PROCESSES = 1024  # on one machine; on CPUs Lightning starts any number

_BATCHES = described(
    either(whole(0), number(0, 1)), "a number of batches, or a share of them from 0 to 1"
)

RULES = [
    Rule(
        "trainer.max_epochs",
        Kind(
            lambda value: whole(1).works(value) or (whole(-1).works(value) and value == -1),
            "a whole number of at least 1, or -1 for as many as trainer.max_steps takes",
        ),
    ),
    Rule("trainer.fast_dev_run", either(FLAG, whole(0))),
    Rule(
        "trainer.max_steps",
        Kind(
            lambda value: whole(1).works(value) or (whole(-1).works(value) and value == -1),
            "a whole number of at least 1, or -1 for no limit",
        ),
    ),
    Rule("trainer.min_epochs", whole(0)),
    Rule("trainer.min_steps", whole(0)),
    Rule(
        "trainer.max_time",
        Kind(
            lambda value: TEXT.works(value) or isinstance(value, DictConfig),
            "DD:HH:MM:SS, days to seconds",
        ),
    ),
    Rule(
        "trainer.devices",
        Kind(
            # Below 1, Lightning knows which accelerators take it.
            lambda value: (
                not isinstance(value, bool)
                and (not isinstance(value, int) or value <= MOST_PROCESSES)
            ),
            f"auto, a whole number of at most {MOST_PROCESSES}, or a list of GPUs",
        ),
    ),
    Rule(
        "trainer.precision",
        Kind(
            choice("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16", 32, 16).works,
            "32-true, bf16-mixed or 16-mixed",
        ),
    ),
    Rule("trainer.num_nodes", whole(1)),
    *(
        Rule(f"trainer.{name}", _BATCHES)
        for name in (
            "limit_train_batches",
            "limit_val_batches",
            "limit_test_batches",
            "limit_predict_batches",
            "overfit_batches",
        )
    ),
    Rule("trainer.check_val_every_n_epoch", whole(1)),
    Rule("trainer.num_sanity_val_steps", whole(-1)),
    Rule("trainer.log_every_n_steps", whole(1)),
    Rule("trainer.accumulate_grad_batches", whole(1)),
    Rule("trainer.gradient_clip_val", number(0)),
    Rule("trainer.gradient_clip_algorithm", choice("norm", "value")),
    Rule("trainer.reload_dataloaders_every_n_epochs", whole(0)),
    *(
        Rule(f"trainer.{name}", FLAG)
        for name in (
            "enable_checkpointing",
            "enable_progress_bar",
            "enable_model_summary",
            "benchmark",
            "inference_mode",
            "use_distributed_sampler",
            "detect_anomaly",
            "sync_batchnorm",
            "enable_autolog_hparams",
        )
    ),
]
RULES = [rule._replace(kind=or_null(rule.kind)) for rule in RULES]


def open_trainer_group() -> None:
    """Let commands set options of the trainer that ``conf/`` does not list."""
    ConfigStore.instance().store("open", DictConfig({}, flags={"struct": False}))


@cache
def option_names() -> tuple[str, ...]:
    """Name the options of Lightning's trainer, without those that memguard sets."""
    names = inspect.signature(pl.Trainer.__init__).parameters
    return tuple(name for name in names if name != "self" and name not in OURS)


def options(config: DictConfig) -> dict[str, Any]:
    """Return the options of the trainer; null leaves Lightning's default.

    The time limit is not among them: its callback has to precede the others.
    """
    tree: Any = OmegaConf.to_container(config.trainer, resolve=True)
    return {key: value for key, value in tree.items() if value is not None and key != "max_time"}


def switched_off(callback: pl.Callback, config: DictConfig) -> bool:
    """Return whether an option of the trainer switches off a configured callback."""
    kinds = {"enable_progress_bar": ProgressBar, "enable_checkpointing": Checkpoint}
    off = tuple(kind for name, kind in kinds.items() if config.trainer.get(name) is False)
    return isinstance(callback, off)


def validate_trainer(config: DictConfig) -> None:
    """Refuse unknown options, and values that cannot work.

    Raises:
        ConfigError: The message names the key, and for an unknown one the nearest.
    """
    for name in config.trainer:
        if name in OURS and config.trainer[name] is not None:
            raise ConfigError(f"trainer.{name} cannot be set: {OURS[name]}.")
        if name not in (*option_names(), *OURS, "_target_"):
            raise ConfigError(unknown("trainer.", str(name), option_names()))
    keep_to(RULES, config)


def require_accelerator(config: DictConfig) -> None:
    """Refuse an accelerator that this machine does not have.

    Raises:
        ConfigError: The message names the key and the available accelerators.
    """
    name = config.trainer.get("accelerator")
    if name != "gpu" and name not in AcceleratorRegistry:
        return  # Lightning names those that it knows
    here = [kind for kind in AcceleratorRegistry if _is_available(kind)]
    if not any(kind in here for kind in (("cuda", "mps") if name == "gpu" else (name,))):
        raise ConfigError(
            f"trainer.accelerator={name} cannot work on this machine: set it to "
            f"{', '.join(['auto', *here[:-1]])} or {here[-1]}."
        )


def _is_available(kind: str) -> bool:
    return bool(AcceleratorRegistry[kind]["accelerator"].is_available())


def unknown(group: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is not known, and name the nearest.

    Args:
        group: Before the name, with its dot.
        name: That was given.
        known: Those that are there.

    >>> unknown("trainer.", "max_epoch", ("max_epochs", "max_steps"))
    'trainer.max_epoch is not known: did you mean trainer.max_epochs?'
    """
    names = sorted(known)
    if near := get_close_matches(name, names, n=1, cutoff=0.5):
        return f"{group}{name} is not known: did you mean {group}{near[0]}?"
    return f"{group}{name} is not known: it must be one of {', '.join(names)}."


@contextmanager
def refused_by(key: str) -> Iterator[None]:
    """Turn an error of a class about its settings into a sentence that names their key.

    Args:
        key: Of the settings that something is made from.

    Raises:
        ConfigError: They cannot work.
    """
    try:
        yield
    except UserError:
        raise
    except InstantiationException as error:
        # Hydra wraps what the class has raised, and prints it as Python writes exceptions.
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        raise ConfigError(_sentence(key, cause)) from error
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise ConfigError(_sentence(key, error)) from error


@contextmanager
def misconfiguration_reported() -> Iterator[None]:
    """Turn a misconfiguration that Lightning finds late into a sentence.

    Raises:
        ConfigError: The trainer's options cannot work for this model, data or machine.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise ConfigError(_sentence("trainer", error)) from error


def _sentence(key: str, error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return f"{key} cannot work: {text}."
