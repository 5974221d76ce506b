"""The configuration: where it lies, what it takes from the machine, and whether it can work."""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, ListConfig, OmegaConf

from memguard.errors import ConfigError
from memguard.processes import alone_on_gpu, begun, devices, nodes, on_gpu
from memguard.sweep import job_name, run_name, sweep_name

PACKAGE = Path(__file__).resolve().parent


def config_folder() -> str:
    """Find ``conf/``.

    In a checkout's root the checkout's own folder is what runs, also when the package is installed;
    else the one inside the installed package, or that of the checkout it is installed from.
    """
    here = Path.cwd()
    in_checkout = (here / "src" / "memguard").is_dir()
    candidates = [here / "conf"] if in_checkout else []
    candidates += [PACKAGE / "conf", PACKAGE.parents[1] / "conf"]
    return str(next(folder for folder in candidates if folder.is_dir()))


def default_model() -> str:
    """Name the published size where there is a GPU, the one for CPUs elsewhere."""
    return "mnad" if torch.cuda.is_available() else "mnad_small"


def default_precision() -> str:
    """Name bf16 where the device computes in it, 32 bits elsewhere."""
    if torch.cuda.is_available():
        computes_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        computes_bf16 = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return "bf16-mixed" if computes_bf16 else "32-true"


@cache
def wandb_mode() -> str:
    """Name W&B's mode: what the user says, else online where they are logged in, else offline."""
    if "WANDB_MODE" in os.environ:
        return os.environ["WANDB_MODE"]
    import wandb  # takes seconds, and only those who log to it should wait

    return "online" if wandb.login(prompt=False) else "offline"


def register_resolvers() -> None:
    """Make the machine's answers, and the names of runs and sweeps, available to the YAML files."""
    for resolver in (
        default_model,
        default_precision,
        wandb_mode,
        job_name,
        run_name,
        sweep_name,
        begun,
        devices,
        nodes,
        on_gpu,
        alone_on_gpu,
    ):
        OmegaConf.register_new_resolver(f"memguard.{resolver.__name__}", resolver, replace=True)


def published_settings(task: str) -> DictConfig:
    """Compose a task's training configuration, ``pred`` or ``recon``, at the published size."""
    # A running command has composed its own configuration, and goes on with that.
    command = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_folder(), version_base="1.3"):
            as_published = ["data.stretch=1", "batch_norm=running"]
            return compose("train", ["model=mnad", f"task={task}", *as_published])
    finally:
        GlobalHydra.instance().hydra = command


Rule = tuple[str, Callable[[Any], bool], str]


def _at_least(low: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, (int, float)) and value >= low


def _whole_at_least(low: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and value >= low


def _share(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 < value <= 1


RULES: list[Rule] = [
    ("memory.size", _whole_at_least(0), "a whole number of at least 2"),
    ("memory.dim", _whole_at_least(1), "a whole number of at least 1"),
    ("model.width", _whole_at_least(1), "a whole number of at least 1"),
    ("loss.compactness", _at_least(0), "a number of at least 0"),
    ("loss.separateness", _at_least(0), "a number of at least 0"),
    ("loss.margin", _at_least(0), "a number of at least 0"),
    (
        "guard.threshold",
        lambda value: value == "auto" or _at_least(0)(value),
        "auto or a number of at least 0",
    ),
    ("guard.quantile", lambda value: _at_least(0)(value) and value <= 1, "a number from 0 to 1"),
    ("guard.scope", lambda value: value in ("dataset", "video"), "dataset or video"),
    ("guard.enabled", lambda value: isinstance(value, bool), "true or false"),
    (
        "scoring.name",
        lambda value: value in ("published", "shared_range", "patch"),
        "published, shared_range or patch",
    ),
    ("scoring.weight", lambda value: _at_least(0)(value) and value <= 1, "a number from 0 to 1"),
    (
        "scoring.patch",
        lambda value: isinstance(value, ListConfig) and len(value) == 2 and all(map(_share, value)),
        "[height, width], shares of the picture's above 0 and up to 1",
    ),
    ("scoring.smoothing", _at_least(0), "a number of frames of at least 0"),
    ("scoring.causal", lambda value: isinstance(value, bool), "true or false"),
    (
        "data.frame_size",
        lambda value: _whole_at_least(8)(value) and value % 8 == 0,
        "a multiple of 8, in pixels, as the encoder halves it three times",
    ),
    ("dataset.on_error", lambda value: value in ("raise", "skip"), "raise or skip"),
    ("dataset.cache", lambda value: value in ("none", "disk", "ram"), "none, disk or ram"),
    ("data.channels", lambda value: value in (1, 3), "1 (grey) or 3 (RGB)"),
    ("data.batch_size", _whole_at_least(1), "a whole number of at least 1"),
    ("data.threads", _whole_at_least(0), "a whole number of at least 0"),
    (
        "data.stretch",  # checkpoints may be older
        lambda value: value is None or _whole_at_least(1)(value),
        "a whole number of at least 1",
    ),
    ("data.holdout", lambda value: _at_least(0)(value) and value < 1, "a number from 0 to below 1"),
    ("optimizer.lr", lambda value: _at_least(0)(value) and value > 0, "a number above 0"),
    ("compile", lambda value: isinstance(value, bool), "true or false"),
    ("trainer.max_epochs", _whole_at_least(1), "a whole number of at least 1"),
    ("seed", _whole_at_least(0), "a whole number of at least 0"),
]

# γ, the level of an alarm and batch norm's statistics are found where the last epoch ends.
_LEFT_OUT = (
    lambda value: value in (None, -1),
    "left out, as a training ends with an epoch: set trainer.max_epochs, and "
    "trainer.limit_train_batches for short ones",
)

TRAINING_RULES: list[Rule] = [
    ("batch_norm", lambda value: value in ("measured", "running"), "measured or running"),
    (
        "callbacks.checkpoint.every_minutes",  # a command can leave the callback out
        lambda value: value is None or _at_least(0)(value),
        "a number of minutes of at least 0",
    ),
    ("trainer.max_steps", *_LEFT_OUT),
    ("trainer.max_time", *_LEFT_OUT),
]

SCORE_RULES: list[Rule] = [
    (
        "alarm.false_per_hour",
        lambda value: _at_least(0)(value) and value > 0,
        "a number above 0",
    ),
    ("annotate", lambda value: isinstance(value, bool), "true or false"),
]


def require_complete(config: DictConfig) -> None:
    """Refuse a configuration in which something has no value yet.

    Raises:
        ConfigError: The message names the key.
    """
    for key in sorted(OmegaConf.missing_keys(config)):
        key = key.removesuffix("._target_")  # what a group's choice sets
        raise ConfigError(f"{key} is not set: add {key}=… to the command.")


def validate(config: DictConfig) -> None:
    """Refuse what cannot work, before any work begins.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    require_complete(config)
    _keep_to(RULES, config)
    _validate_memory(config)
    _validate_compile(config)
    if config.guard.enabled and config.guard.threshold == "auto" and config.data.holdout == 0:
        raise ConfigError(
            "guard.threshold=auto needs held-out normal frames, but data.holdout=0: set "
            "data.holdout to 0.05, or guard.threshold to a number."
        )


def validate_training(config: DictConfig) -> None:
    """Refuse a training that cannot work, before it begins.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    validate(config)
    _keep_to(TRAINING_RULES, config)


def validate_score(config: DictConfig) -> None:
    """Refuse what cannot work of what a scoring adds to a trained configuration.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    require_complete(config)
    _keep_to(SCORE_RULES, config)


def _keep_to(rules: list[Rule], config: DictConfig) -> None:
    for key, works, wanted in rules:
        value = OmegaConf.select(config, key)
        if not works(value):
            raise ConfigError(f"{key}={value} cannot work: it must be {wanted}.")


def _validate_compile(config: DictConfig) -> None:
    """Refuse to compile what several processes do together."""
    for key in ("devices", "num_nodes"):
        count = config.trainer.get(key, 1)
        if config.compile and count != 1:
            raise ConfigError(
                f"compile=true cannot work with trainer.{key}={count}: set compile=false, or "
                f"trainer.{key}=1."
            )


def _validate_memory(config: DictConfig) -> None:
    """Refuse a memory that is too small for what uses it."""
    size, separateness = config.memory.size, config.loss.separateness
    if size == 1 and separateness > 0:
        raise ConfigError(
            f"memory.size=1 cannot work with loss.separateness={separateness}, which holds the "
            "nearest item against the second nearest: set memory.size to at least 2, or "
            "loss.separateness=0."
        )
    uses = config.guard.enabled or separateness or config.loss.compactness
    if size == 0 and (uses or config.scoring.weight < 1):
        raise ConfigError(
            "memory.size=0 cannot work, as losses, guard or score use the memory: set it to at "
            "least 2, or choose memory=none, which takes all of that out."
        )
