"""The file of cameras: each has a name, a source, and its own values of the command's settings."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from memguard.config.problems import find_problems
from memguard.config.schema import CameraSettings
from memguard.config.sentences import listed, shown
from memguard.data.video.addresses import shown as without_password
from memguard.errors import ConfigError, UserError

# Folders, metrics and messages have the names of cameras.
_NAME = re.compile(r"\w[\w-]{0,63}")


def read_cameras(path: Path, command: DictConfig) -> dict[str, DictConfig]:
    """Read the cameras of a file.

    Args:
        path: A YAML file with a group of settings for each camera, by its name. Its values may be
            environment variables, ``${oc.env:DOOR_PASSWORD}``; they are never written anywhere.
        command: The command's configuration, with the values that the file does not set.

    Returns:
        The settings of each camera, resolved.

    Raises:
        ConfigError: The file cannot be read, or a setting cannot work; the message names the file
            and the camera.
    """
    cameras = _loaded(path)
    usual = {key: command[key] for key in CameraSettings.model_fields if key in command}
    merged: dict[str, DictConfig] = {}
    problems: list[str] = []
    for name, own in ((str(name), own) for name, own in cameras.items()):
        if not _NAME.fullmatch(name):
            problems.append(
                f"{path}: {shown(without_password(name))} is no name of a camera: take letters, "
                "digits, - and _, 64 at most."
            )
        elif not isinstance(own, DictConfig):
            problems.append(f"{path}: {name} has no settings: give it source=… at least.")
        else:
            merged[name] = config = _merged(usual, own)
            found = find_problems(CameraSettings, config)
            problems += (f"{path}: {name}.{problem.sentence}" for problem in found)
    if problems:
        raise ConfigError(listed(problems))
    for config in merged.values():
        OmegaConf.resolve(config)
    return merged


@contextmanager
def named_in_errors(path: str, names: Sequence[str]) -> Iterator[None]:
    """Name the cameras, and the file that they are in, in an error of what they name.

    Args:
        path: The file of cameras.
        names: Of the cameras.

    Raises:
        UserError: A checkpoint or a mask of theirs cannot be used.
    """
    try:
        yield
    except UserError as error:
        raise type(error)(f"{path}: {', '.join(names)}: {error}") from error


def _loaded(path: Path) -> DictConfig:
    try:
        cameras = OmegaConf.load(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(
            f"{path}: this file of cameras cannot be read ({reason}); correct cameras=…"
        ) from None
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = f" in line {mark.line + 1} ({problem})" if mark else ""
        raise ConfigError(f"{path}: this is no YAML{place}; correct the file.") from None
    if not isinstance(cameras, DictConfig) or not cameras:
        raise ConfigError(
            f"{path}: this file has no camera: write NAME: and, below it, source: ADDRESS."
        )
    return cameras


def _merged(usual: dict[str, object], own: DictConfig) -> DictConfig:
    """Lay a camera's own values over the command's."""
    config = OmegaConf.merge(usual, own)
    assert isinstance(config, DictConfig)
    return config
