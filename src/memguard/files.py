"""Write files whole or not at all, in the cache folder and elsewhere."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from memguard.errors import DataError


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yield a path to write a file to, which takes the target's place once it is whole.

    Raises:
        OSError: The target's folder cannot be written, or is full; it names the target.
    """
    prefix = _scratch(os.getpid())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as scratch:
            unfinished = Path(scratch) / target.name
            yield unfinished
            os.replace(unfinished, target)
    except OSError as error:
        if error.errno and (error.filename is None or prefix in str(error.filename)):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise


@contextmanager
def put_into_cache(target: Path) -> Iterator[Path]:
    """Write a file of the cache whole; see :func:`written_whole`.

    Raises:
        DataError: The cache folder cannot be written, or is full.
    """
    try:
        with written_whole(target) as unfinished:
            yield unfinished
    except OSError as error:
        raise DataError(
            f"{target.parent}: this folder cannot be written ({error}); "
            "set paths.cache_dir to a folder that can be written and has space"
        ) from error


def clear_unfinished(folder: Path) -> None:
    """Remove the unfinished files of killed runs from a folder."""
    for scratch in folder.glob(f"{_scratch('*')}*"):
        if not psutil.pid_exists(int(scratch.name.split("-")[-2])):
            shutil.rmtree(scratch, ignore_errors=True)


def _scratch(process: int | str) -> str:
    """Begin the name of a folder in which a process of this machine writes a file."""
    return f".converting-{platform.node()}-{process}-"
