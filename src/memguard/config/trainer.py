"""Options of Lightning's trainer: their values, and errors that name their key."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf
from pydantic import Field

from memguard.config.sentences import Words, unknown
from memguard.config.values import (
    Count,
    Exact,
    FromOne,
    Part,
    Share,
    Text,
    Weight,
)
from memguard.errors import ConfigError, UserError

if TYPE_CHECKING:
    from pytorch_lightning import Callback

# Set by memguard itself, each with the key to use instead.
OURS = {
    "logger": "choose with logger=csv, tensorboard, wandb or none",
    "callbacks": "add one as +callbacks.NAME._target_=…",
    "plugins": "memguard writes whole checkpoints by its own",
    "default_root_dir": "set hydra.run.dir",
    "barebones": "memguard needs what it leaves out; use logger=none",
}

MOST_PROCESSES = 1024  # on one machine; on CPUs Lightning starts any number


def open_trainer_group() -> None:
    """Let commands set options of the trainer that ``conf/`` does not list."""
    ConfigStore.instance().store("open", DictConfig({}, flags={"struct": False}))


@cache
def option_names() -> tuple[str, ...]:
    """Name the options of Lightning's trainer, without those that memguard sets."""
    from pytorch_lightning import Trainer  # takes seconds to load, and few commands name options

    names = inspect.signature(Trainer.__init__).parameters
    return tuple(name for name in names if name != "self" and name not in OURS)


Limit = Annotated[int, Field(ge=1)] | Annotated[int, Field(ge=-1, le=-1)]
Epochs = Annotated[
    Limit, Words("a whole number of at least 1, or -1 for as many as trainer.max_steps takes")
]
Steps = Annotated[Limit, Words("a whole number of at least 1, or -1 for no limit")]
Batches = Annotated[Count | Share, Words("a number of batches, or a share of them from 0 to 1")]
# Below 1, Lightning knows which accelerators take it.
Devices = Annotated[
    Annotated[int, Field(le=MOST_PROCESSES)] | str | list[int],
    Words(f"auto, a whole number of at most {MOST_PROCESSES}, or a list of GPUs"),
]
Precision = Annotated[
    Literal["32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16", 32, 16],
    Exact,
    Words("32-true, bf16-mixed or 16-mixed"),
]
Profiler = Annotated[
    Literal["simple", "advanced", "pytorch", "xla"] | dict[str, Any],
    Words("simple, advanced or pytorch"),
]
Duration = Annotated[Text | dict[str, Any], Words("DD:HH:MM:SS, days to seconds")]


class TrainerSettings(Part):
    """Options of Lightning's trainer; those that are not listed are checked by Lightning."""

    makers = ("pytorch_lightning.", "lightning.")

    accelerator: Text | None = Field(None, description="Kind of device, such as auto, cpu, gpu.")
    max_epochs: Epochs | None = Field(None, description="Epochs.")
    max_steps: Steps | None = Field(None, description="Steps.")
    min_epochs: Count | None = Field(None, description="Epochs before it may stop early.")
    min_steps: Count | None = Field(None, description="Steps before it may stop early.")
    max_time: Duration | None = Field(None, description="Time limit.")
    fast_dev_run: bool | Count | None = Field(None, description="Try a few batches of each part.")
    devices: Devices | None = Field(None, description="Devices per machine.")
    num_nodes: FromOne | None = Field(None, description="Machines.")
    precision: Precision | None = Field(None, description="Number format of the computation.")
    limit_train_batches: Batches | None = Field(None, description="Training batches per epoch.")
    limit_val_batches: Batches | None = Field(None, description="Batches per validation.")
    limit_test_batches: Batches | None = Field(None, description="Batches of a test.")
    limit_predict_batches: Batches | None = Field(None, description="Batches of a prediction.")
    overfit_batches: Batches | None = Field(None, description="Train on these batches alone.")
    check_val_every_n_epoch: FromOne | None = Field(None, description="Epochs per validation.")
    num_sanity_val_steps: Annotated[int, Field(ge=-1)] | None = Field(
        None, description="Validation batches before the training."
    )
    log_every_n_steps: FromOne | None = Field(None, description="Steps per logged row.")
    profiler: Profiler | None = Field(None, description="Profiler of Lightning's.")
    accumulate_grad_batches: FromOne | None = Field(None, description="Batches per step.")
    gradient_clip_val: Weight | None = Field(None, description="Limit of the gradients.")
    gradient_clip_algorithm: Literal["norm", "value"] | None = Field(
        None, description="Clip the norm of all gradients, or each value."
    )
    reload_dataloaders_every_n_epochs: Count | None = Field(
        None, description="Epochs that share an order of windows."
    )
    enable_checkpointing: bool | None = Field(None, description="Save checkpoints.")
    enable_progress_bar: bool | None = Field(None, description="Show a progress bar.")
    enable_model_summary: bool | None = Field(None, description="Print the layers.")
    benchmark: bool | None = Field(
        None, description="Let cuDNN measure its algorithms and take the fastest."
    )
    inference_mode: bool | None = Field(None, description="Test without autograd.")
    use_distributed_sampler: bool | None = Field(
        None, description="Keep it false: the streams deal out their windows."
    )
    detect_anomaly: bool | None = Field(None, description="Find the operation of a NaN.")
    sync_batchnorm: bool | None = Field(
        None, description="Batch norm over the batches of all processes."
    )
    enable_autolog_hparams: bool | None = Field(
        None, description="Log hyperparameters to Lightning's loggers."
    )

    @classmethod
    def checks_key(cls, name: str, target: Any) -> bool:
        """Return True for the options that memguard knows, and for all of Lightning's trainer."""
        return name in cls.model_fields or super().checks_key(name, target)

    @classmethod
    def refuse_key(cls, group: str, name: str, value: Any) -> str | None:
        """Refuse options that Lightning's trainer does not take, or that memguard sets."""
        if name in OURS:
            return f"{group}{name} cannot be set: {OURS[name]}." if value is not None else None
        return None if name in option_names() else unknown(group, name, option_names())


def options(config: DictConfig) -> dict[str, Any]:
    """Return the options of the trainer; null leaves Lightning's default.

    The time limit is not among them: its callback has to precede the others.
    """
    tree: Any = OmegaConf.to_container(config.trainer, resolve=True)
    return {key: value for key, value in tree.items() if value is not None and key != "max_time"}


def switched_off(callback: "Callback", config: DictConfig) -> bool:
    """Return whether an option of the trainer switches off a configured callback."""
    from pytorch_lightning.callbacks import Checkpoint, ProgressBar

    trainer = config.trainer
    kinds = {"enable_progress_bar": ProgressBar, "enable_checkpointing": Checkpoint}
    off = [kind for name, kind in kinds.items() if trainer.get(name) is False]
    off += [Checkpoint] if trainer.get("fast_dev_run") else []  # as Lightning promises
    return isinstance(callback, tuple(off))


def require_accelerator(config: DictConfig) -> None:
    """Refuse an accelerator that is not known, or that this machine does not have.

    Raises:
        ConfigError: The message names the key and the available accelerators.
    """
    name = config.trainer.get("accelerator")
    if isinstance(name, str) and not has_accelerator(name):
        here = _available()
        raise ConfigError(
            f"trainer.accelerator={name} cannot work on this machine: set it to "
            f"{', '.join(['auto', *here[:-1]])} or {here[-1]}."
        )


def has_accelerator(name: str) -> bool:
    """Return whether this machine has an accelerator; ``auto`` is any, ``gpu`` one of two kinds."""
    kinds = ("cuda", "mps") if name == "gpu" else (name,)
    return name == "auto" or not set(kinds).isdisjoint(_available())


def _available() -> list[str]:
    from pytorch_lightning.accelerators import AcceleratorRegistry

    return [kind for kind in AcceleratorRegistry if _is_available(kind)]


def _is_available(kind: str) -> bool:
    from pytorch_lightning.accelerators import AcceleratorRegistry

    return bool(AcceleratorRegistry[kind]["accelerator"].is_available())


@contextmanager
def refused_by(key: str, target: str = "") -> Iterator[None]:
    """Turn an error of a class about its settings into a sentence that names their key.

    Args:
        key: Of the settings that something is made from.
        target: The name of a class that may raise any error; the sentence names it, too.

    Raises:
        ConfigError: They cannot work.
    """
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    expected = Exception if target else (MisconfigurationException, TypeError, ValueError)
    try:
        yield
    except UserError:
        raise
    except InstantiationException as error:
        # Hydra wraps what the class has raised, and prints it as Python writes exceptions.
        cause = error.__cause__ or error
        if isinstance(cause, UserError):
            raise cause from None
        raise ConfigError(_sentence(key, cause, target)) from error
    except expected as error:
        raise ConfigError(_sentence(key, error, target)) from error


@contextmanager
def misconfiguration_reported() -> Iterator[None]:
    """Turn a misconfiguration that Lightning finds late into a sentence.

    Raises:
        ConfigError: The trainer's options cannot work for this model, data or machine.
    """
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        yield
    except MisconfigurationException as error:
        raise ConfigError(_sentence("trainer", error)) from error
    except ValueError as error:
        if "val_check_interval" not in str(error):  # which Lightning finds by itself
            raise
        raise ConfigError(_sentence("trainer.val_check_interval", error)) from error


def _sentence(key: str, error: BaseException, target: str = "") -> str:
    kind = type(error).__name__
    text = " ".join(str(error).split()).rstrip(".") or kind
    place = f" ({kind} in {target})" if target else ""
    return f"{key} cannot work: {text}{place}."
