"""The state of a camera beside its events, in files from which a restarted process continues."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from memguard.errors import DataError
from memguard.files import written_whole
from memguard.live.scorer import LiveScorer
from memguard.live.standing import Background, BackgroundState

Arrays = Mapping[str, np.ndarray]

log = logging.getLogger(__name__)


class StoredItems:
    """The items of a camera, which the guard updates, in a file that a restart continues from.

    Args:
        path: The file. Removing it resets the memory to the trained items.
        scorer: Has the guard.
        number: The number of the camera in it.
    """

    def __init__(self, path: Path, scorer: LiveScorer, number: int) -> None:
        self._path, self._number = path, number
        self._guard = scorer.detector.guard
        self._trained = _digest(scorer.detector.memory.items)
        _continue(path, self._restore, otherwise="the memory begins as trained")

    def save(self) -> None:
        """Write the items, whole or not at all."""
        items = self._guard.items([self._number])[0].cpu().numpy()
        _write(self._path, "items", {"items": items, "trained": self._trained})

    def _restore(self, stored: Arrays) -> None:
        if str(stored["trained"]) != self._trained:
            raise DataError("it is of another checkpoint")
        self._guard.restore(self._number, torch.from_numpy(stored["items"]))


class StoredBackground:
    """The background of a camera in a file that a restart continues from.

    Args:
        path: The file. Removing it begins a new background.
        background: Continues from it.
    """

    def __init__(self, path: Path, background: Background) -> None:
        self._path, self._background = path, background
        _continue(path, self._restore, otherwise="a new background begins")

    def save(self) -> None:
        """Write the background, whole or not at all."""
        _write(self._path, "background", self._background.state()._asdict())

    def _restore(self, stored: Arrays) -> None:
        slow = stored["slow"]
        if slow.shape != self._background.state().slow.shape:
            raise DataError("it is of frames of another size")
        clock = (stored[name].item() for name in ("looks", "last", "settles"))
        self._background.restore(BackgroundState(slow, *clock))


class EndedRecording:
    """The recording that was watched to its end: a restarted process leaves it ended.

    A file that has changed is another recording. One on a server is watched again, as nothing says
    whether it is the same.

    Args:
        path: The file that remembers it. Removing it has the recording watched again.
        source: The source of the camera.
    """

    def __init__(self, path: Path, source: str) -> None:
        self._path, self._recording = path, _identity(Path(source))

    @property
    def is_this(self) -> bool:
        """Whether it is the source's."""
        try:
            return self._recording is not None and self._path.read_text() == self._recording
        except (OSError, ValueError):
            return False

    def save(self) -> None:
        """Remember that the source has ended, if it is a recording in a file."""
        if self._recording is None:
            return
        try:
            with written_whole(self._path) as unfinished:
                unfinished.write_text(self._recording)
        except OSError as error:
            log.warning(
                "%s: the end of the recording cannot be saved (%s); a restart watches it again.",
                self._path, error.strerror,
            )  # fmt: skip


def _identity(source: Path) -> str | None:
    """Return what identifies a recording in a file; None for other sources."""
    if not source.is_file():
        return None
    stat = source.stat()
    path = str(source.absolute())
    return json.dumps({"path": path, "bytes": stat.st_size, "changed_ns": stat.st_mtime_ns})


def _continue(path: Path, restore: Callable[[Arrays], None], otherwise: str) -> None:
    """Restore the arrays of a file, if there is one; a warning names a file that is left out.

    Args:
        path: The file.
        restore: Takes the arrays.
        otherwise: The consequence of leaving them out.
    """
    if not path.exists():
        return
    try:
        with np.load(path, allow_pickle=False) as stored:
            restore(stored)
    except (DataError, OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
        reason = str(error) if isinstance(error, DataError) else None
        reason = reason or getattr(error, "strerror", None) or "it is damaged"
        log.warning("%s is left out, as %s: %s.", path, reason, otherwise)


def _write(path: Path, name: str, arrays: Mapping[str, Any]) -> None:
    """Write arrays, whole or not at all; a warning says that they cannot be saved."""
    try:
        with written_whole(path) as unfinished:
            np.savez(unfinished, **arrays)
    except OSError as error:
        log.warning("%s: the %s cannot be saved (%s).", path, name, error.strerror)


def _digest(items: Tensor) -> str:
    return hashlib.sha256(items.detach().cpu().float().numpy().tobytes()).hexdigest()
