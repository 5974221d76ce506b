"""Errors that a user can mend, told in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import CompactHydraException


class UserError(CompactHydraException):
    """A mistake in what the user gave: its message names what, where, and what to do.

    Hydra prints an exception of this kind as its message alone, without a traceback, and exits
    with status 1; ``HYDRA_FULL_ERROR=1`` shows the traceback.
    """


class ConfigError(UserError):
    """A configuration value that cannot work; the message names the key."""


class DataError(UserError):
    """A video, label file or folder that cannot be used; the message names the path."""


class CheckpointError(UserError):
    """A checkpoint that cannot be used for what is asked; the message names the file."""


class TrainingError(UserError):
    """A training that cannot go on; the message names the step and what is kept."""


@contextmanager
def access_told(path: Path) -> Iterator[None]:
    """Turn what the system raises on a file or folder that may not be read into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: this cannot be read ({error.strerror}); correct its permissions, or restore "
            "what it links to"
        ) from error
