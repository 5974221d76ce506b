"""Damaged label files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memguard.errors import DataError


@contextmanager
def damage_reported(path: Path, expected: str) -> Iterator[None]:
    """Turn any error of a format's reader into a DataError.

    SciPy, h5py, NumPy and Pillow raise errors of any type on a damaged file.

    Args:
        path: The file.
        expected: The content that the file should have.

    Example:
        >>> with damage_reported(Path("x.npy"), "a NumPy array"):
        ...     raise ValueError("no header")
        Traceback (most recent call last):
        ...
        memguard.errors.DataError: x.npy: expected a NumPy array, found ValueError('no header'); ...
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"{path}: expected {expected}, found {error!r}; restore it from the dataset"
        ) from error
