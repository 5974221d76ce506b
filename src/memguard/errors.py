"""Errors that a user can mend, told in one sentence."""

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
