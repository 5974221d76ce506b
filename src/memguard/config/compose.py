"""The configuration: where it lies, what it takes from the machine, and whether it can work."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import hydra
import torch
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from memguard.config.keys import groups, unknown_key
from memguard.config.metric_names import require_known_monitors
from memguard.config.naming import job_name, run_name, sweep_name
from memguard.config.rules import (
    EVALUATION_RULES,
    PREPARE_RULES,
    RULES,
    SCORE_RULES,
    TRAINING_RULES,
    keep_to,
    shown,
)
from memguard.config.trainer import open_trainer_group, validate_trainer
from memguard.distributed import alone_on_gpu, devices, nodes, on_gpu
from memguard.errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]


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


def run_dir() -> str:
    """Name the folder that a command writes to; from Python, a run names its own."""
    return str(HydraConfig.get().runtime.output_dir) if HydraConfig.initialized() else "."


def register_resolvers() -> None:
    """Make the machine's answers, and the names of runs and sweeps, available to the YAML files."""
    open_trainer_group()
    for resolver in (
        default_model,
        default_precision,
        wandb_mode,
        job_name,
        run_dir,
        run_name,
        sweep_name,
        devices,
        nodes,
        on_gpu,
        alone_on_gpu,
        groups,
    ):
        OmegaConf.register_new_resolver(f"memguard.{resolver.__name__}", resolver, replace=True)


def compose(overrides: Sequence[str] = (), command: str = "train") -> DictConfig:
    """Compose the configuration of a command from Python.

    Args:
        overrides: As on the command line.
        command: ``train``, ``evaluate`` or ``prepare``.

    Raises:
        ConfigError: The command has no such key.

    Example:
        >>> config = compose(["dataset=street", "model=mnad_tiny", "memory.size=7"])
        >>> config.memory.size
        7
    """
    register_resolvers()
    # A running command has composed its own configuration, and goes on with that.
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        if sentence := unknown_key(command, config_folder(), overrides):
            raise ConfigError(sentence)
        with initialize_config_dir(config_folder(), version_base="1.3"):
            return hydra.compose(command, list(overrides))
    except HydraException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    finally:
        GlobalHydra.instance().hydra = running


def published_settings(task: str) -> DictConfig:
    """Compose a task's training configuration, ``pred`` or ``recon``, at the published size."""
    return compose(["model=mnad", f"task={task}", "data.stretch=1", "batch_norm=running"])


def require_complete(config: DictConfig) -> None:
    """Refuse a configuration in which something has no value yet.

    Raises:
        ConfigError: The message names the key.
    """
    try:
        missing = OmegaConf.missing_keys(config)
    except OmegaConfBaseException as error:
        key = error.full_key or "The configuration"
        raise ConfigError(f"{key} cannot work: {str(error).splitlines()[0]}.") from error
    for key in sorted(missing):
        key = key.removesuffix("._target_")  # what a group's choice sets
        raise ConfigError(f"{key} is not set: add {key}=… to the command.")


def validate(config: DictConfig) -> None:
    """Refuse what cannot work, before any work begins.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    require_complete(config)
    keep_to(RULES, config)
    validate_trainer(config)
    _validate_memory(config)
    _validate_compile(config)
    if _finds_threshold(config) and config.data.holdout == 0:
        raise ConfigError(
            "guard.threshold=auto needs held-out normal frames, but data.holdout=0: set "
            "data.holdout to 0.05, or guard.threshold to a number."
        )


def validate_training(config: DictConfig) -> None:
    """Refuse a training that cannot work, before it begins.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    if config.checkpoint and config.weights:
        raise ConfigError(
            "checkpoint and weights cannot be set together: checkpoint goes on with a training, "
            "weights begins a new one. Leave weights out to go on."
        )
    validate(config)
    keep_to(TRAINING_RULES, config)
    _validate_past(config)
    _validate_limits(config)
    _validate_precision(config)
    require_known_monitors(config)


def validate_evaluation(config: DictConfig) -> None:
    """Refuse what cannot work of what an evaluation adds to a trained configuration.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    require_complete(config)
    keep_to(EVALUATION_RULES, config)


def validate_preparation(config: DictConfig) -> None:
    """Refuse a preparation that cannot work, before it begins.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    require_complete(config)
    keep_to(PREPARE_RULES, config)


def validate_score(config: DictConfig) -> None:
    """Refuse what cannot work of what a scoring adds to a trained configuration.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    require_complete(config)
    keep_to(SCORE_RULES, config)


def _validate_past(config: DictConfig) -> None:
    """Refuse windows of another length than the model takes."""
    for key in ("data.past", "model.past"):
        past = OmegaConf.select(config, key)
        if past is not None and past != config.task.past:
            raise ConfigError(
                f"{key}={shown(past)} cannot work with task.past={config.task.past}: set task.past "
                "alone, which both follow."
            )


def _validate_limits(config: DictConfig) -> None:
    """Refuse limits that leave a training without an end, or without something it needs."""
    trainer = config.trainer
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps")
    if epochs in (None, -1) and steps in (None, -1):
        raise ConfigError(
            f"trainer.max_epochs={shown(epochs)} cannot work by itself, as the learning rate comes "
            "down to 0 over a number of steps: set trainer.max_steps as well."
        )
    if trainer.get("limit_train_batches") == 0:
        raise ConfigError(
            "trainer.limit_train_batches=0 trains nothing: set it to at least 1, or test a "
            "checkpoint with memguard.evaluate."
        )
    if _finds_threshold(config) and trainer.get("limit_val_batches") == 0:
        raise ConfigError(
            "guard.threshold=auto needs held-out normal frames, but trainer.limit_val_batches=0: "
            "leave that out, or set guard.threshold to a number."
        )
    watched = OmegaConf.select(config, "callbacks.test_each_epoch.enabled")
    if watched and not config.test:
        raise ConfigError(
            "callbacks.test_each_epoch.enabled=true cannot work with test=false: leave out one of "
            "them."
        )


def _validate_precision(config: DictConfig) -> None:
    """Refuse to clip gradients that a fused optimiser alone knows the scale of."""
    clips = config.trainer.get("gradient_clip_val")
    scaled = str(config.trainer.get("precision")) in ("16", "16-mixed")
    if clips and scaled and config.optimizer.get("fused"):
        raise ConfigError(
            f"trainer.gradient_clip_val={clips} cannot work with optimizer.fused=true under "
            f"trainer.precision={config.trainer.precision}, whose gradients are scaled: set "
            "optimizer.fused=false, or trainer.precision=bf16-mixed."
        )


def _finds_threshold(config: DictConfig) -> bool:
    return bool(config.guard.enabled and config.guard.threshold == "auto")


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
