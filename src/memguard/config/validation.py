"""Validate a composed configuration before any work begins, and report all of its problems."""

from omegaconf import DictConfig

from memguard.config.problems import find_problems, find_unresolved
from memguard.config.schema import Command, DetectorSettings, TrainingSettings
from memguard.config.sentences import Problem, listed
from memguard.errors import ConfigError


def require_complete(config: DictConfig) -> None:
    """Refuse a configuration in which a key has no value.

    Raises:
        ConfigError: The message names the keys.
    """
    _refuse(find_unresolved(config))


def validate_by(command: type[Command], config: DictConfig) -> None:
    """Require that every value is possible, alone and beside the others.

    Args:
        command: The settings that the configuration holds.
        config: Composed for that command.

    Raises:
        ConfigError: Something cannot work; the message names each key.
    """
    _refuse(find_problems(command, config))


def validate(config: DictConfig) -> None:
    """Refuse a detector, dataset or trainer that cannot work.

    Raises:
        ConfigError: Something cannot work; the message names each key.
    """
    validate_by(DetectorSettings, config)


def validate_training(config: DictConfig) -> None:
    """Refuse a training that cannot work, before it begins.

    Raises:
        ConfigError: Something cannot work; the message names each key.
    """
    validate_by(TrainingSettings, config)


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise ConfigError(listed([problem.sentence for problem in problems]))
