"""Errors that a user can correct, each reported in one sentence."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import CompactHydraException

# The environment variable by which Hydra shows whole tracebacks.
FULL_ERROR = "HYDRA_FULL_ERROR"


class UserError(CompactHydraException):
    """An error in the user's input: its message names the fault, the place and the remedy.

    Hydra prints the message alone, without a traceback, and exits with status 1;
    ``HYDRA_FULL_ERROR=1`` shows the traceback.

    Example:
        >>> import memguard
        >>> try:
        ...     memguard.compose(["memory.siez=5"])
        ... except memguard.UserError as error:
        ...     print(error)
        memory.siez is not known: did you mean memory.size?
    """


class ConfigError(UserError):
    """A configuration value that cannot work; the message names the key."""


class DataError(UserError):
    """A video, label file or folder that cannot be used; the message names the path."""


class CheckpointError(UserError):
    """A checkpoint that cannot be used as requested; the message names the file."""


class TrainingError(UserError):
    """A training that cannot continue; the message names the step and the saved checkpoint."""


@contextmanager
def access_reported(path: Path) -> Iterator[None]:
    """Turn the system's error on an unreadable file or folder into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: this cannot be read ({error.strerror}); correct its permissions or "
            "its path, or restore what it links to"
        ) from error
