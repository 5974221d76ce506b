"""Options of Lightning's trainer, and errors that name their key."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytorch_lightning as pl
from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.callbacks import Checkpoint, ProgressBar

from memguard.errors import ConfigError, UserError

# Set by memguard itself, each with the key to use instead.
OURS = {
    "logger": "choose with logger=csv, tensorboard, wandb or none",
    "callbacks": "add one as +callbacks.NAME._target_=…",
    "plugins": "memguard writes whole checkpoints by its own",
    "default_root_dir": "set hydra.run.dir",
    "barebones": "memguard needs what it leaves out; use logger=none",
}


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
