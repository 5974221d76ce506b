"""Validate a composed configuration before any work begins."""

from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from memguard.config.metric_names import require_known_monitors
from memguard.config.rules import RULES, TRAINING_RULES, Rule, keep_to, shown
from memguard.config.trainer import validate_trainer
from memguard.errors import ConfigError


def require_complete(config: DictConfig) -> None:
    """Refuse a configuration in which a key has no value.

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


def validate_by(rules: Iterable[Rule], config: DictConfig) -> None:
    """Require that every key has a value, and that each value keeps to its rule.

    Args:
        rules: Of one command, as :mod:`memguard.config.rules` lists them.
        config: Composed for that command.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    require_complete(config)
    keep_to(rules, config)


def validate(config: DictConfig) -> None:
    """Refuse a detector, dataset or trainer that cannot work.

    Raises:
        ConfigError: A value is missing or impossible; the message names its key.
    """
    validate_by(RULES, config)
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
            "checkpoint and weights cannot be set together: checkpoint resumes a training, "
            "weights begins a new one. Leave weights out to resume."
        )
    validate(config)
    keep_to(TRAINING_RULES, config)
    _validate_past(config)
    _validate_limits(config)
    _validate_precision(config)
    require_known_monitors(config)


def _validate_past(config: DictConfig) -> None:
    """Refuse a window length that differs from the model's."""
    for key in ("data.past", "model.past"):
        past = OmegaConf.select(config, key)
        if past is not None and past != config.task.past:
            raise ConfigError(
                f"{key}={shown(past)} cannot work with task.past={config.task.past}: set task.past "
                "alone, which both follow."
            )


def _validate_limits(config: DictConfig) -> None:
    """Refuse limits that leave a training without an end, or without data that it needs."""
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
    """Refuse to clip scaled gradients: only the fused optimiser knows their scale."""
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
    """Refuse to compile a training of several processes."""
    for key in ("devices", "num_nodes"):
        count = config.trainer.get(key, 1)
        if config.compile and count != 1:
            raise ConfigError(
                f"compile=true cannot work with trainer.{key}={count}: set compile=false, or "
                f"trainer.{key}=1."
            )


def _validate_memory(config: DictConfig) -> None:
    """Refuse a memory that is too small for the losses, guard or score that use it."""
    size, separateness = config.memory.size, _weight(config, "separateness")
    if size == 1 and separateness > 0:
        raise ConfigError(
            f"memory.size=1 cannot work with loss.separateness={separateness}, which holds the "
            "nearest item against the second nearest: set memory.size to at least 2, or "
            "loss.separateness=0."
        )
    uses = config.guard.enabled or separateness or _weight(config, "compactness")
    if size == 0 and (uses or config.scoring.weight < 1):
        raise ConfigError(
            "memory.size=0 cannot work, as losses, guard or score use the memory: set it to at "
            "least 2, or choose memory=none, which takes all of that out."
        )


def _weight(config: DictConfig, term: str) -> float:
    """Return the weight of a published term of the loss; another function has no such limits."""
    weight = config.loss[term]
    return 0 if isinstance(weight, DictConfig) else weight
