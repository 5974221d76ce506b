"""The journal of a camera: its reports, and the state that a restarted process continues from."""

import logging
import os
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ValidationError

from memguard.files import written_whole
from memguard.live.reports import Condition, Report

# On a full disk, so many lines wait for space.
WAITING_LINES = 1000
LONGEST_LINE = 2**14  # bytes

log = logging.getLogger(__name__)


class CameraState(BaseModel):
    """The state of a camera.

    Attributes:
        number: The number of events so far.
        frame: The number of the last frame.
        seconds: The time of the last frame since the beginning.
        time: The time of day at which the state was saved.
        open: The events that have not ended, as they are so far.
        condition: The condition that lasts.
    """

    number: int
    frame: int
    seconds: float
    time: datetime
    open: list[Report]
    condition: Condition | None = None


class Journal:
    """Write the reports of a camera, each at once and whole, and its state.

    A file that cannot be written raises nothing: the camera is watched all the same. A warning
    names it, and its lines wait until there is space.

    Args:
        path: The file of reports, ``events.jsonl``.
        state: The file of the state; None: no process continues from it.
    """

    def __init__(self, path: Path, state: Path | None = None) -> None:
        self._path, self._state = path, state
        self._waiting: deque[bytes] = deque(maxlen=WAITING_LINES)
        self._warned: set[Path] = set()

    def add(self, report: Report) -> None:
        """Write a line, after those that wait."""
        self._waiting.append(report.model_dump_json().encode() + b"\n")
        self._write()

    def close(self) -> None:
        """Write the lines that wait; a warning says how many are lost."""
        if self._waiting:
            self._write()
        if lost := len(self._waiting):
            log.warning(
                "%s: this file cannot be written, so the last %d reports of its camera are lost; "
                "make room on its disk.",
                self._path, lost,
            )  # fmt: skip

    def _write(self) -> None:
        """Write the lines that wait, or as many as there is space for."""
        try:
            with self._path.open("ab+", buffering=0) as file:
                _remove_torn_line(file)
                while self._waiting:
                    _append(file, self._waiting[0])
                    self._waiting.popleft()
            self._warned.discard(self._path)
        except OSError as error:
            self._warn(self._path, error)

    def read_state(self) -> CameraState | None:
        """Read the saved state; None without one, and with a warning if it is damaged."""
        if self._state is None or not self._state.exists():
            return None
        try:
            return CameraState.model_validate_json(self._state.read_bytes())
        except (OSError, ValidationError) as error:
            reason = getattr(error, "strerror", None) or "it is damaged"
            log.warning(
                "%s: this state cannot be read (%s); the camera begins without it.",
                self._state, reason,
            )  # fmt: skip
            return None

    def save(self, state: CameraState) -> None:
        """Save the state, whole or not at all."""
        if self._state is None:
            return
        try:
            with written_whole(self._state) as unfinished:
                unfinished.write_text(state.model_dump_json(), encoding="utf-8")
            self._warned.discard(self._state)
        except OSError as error:
            self._warn(self._state, error)

    def _warn(self, path: Path, error: OSError) -> None:
        """Warn once, until the file can be written again."""
        if path not in self._warned:
            self._warned.add(path)
            log.warning(
                "%s: this file cannot be written (%s); make room on its disk or correct its "
                "folder's permissions.",
                path, error.strerror or error,
            )  # fmt: skip


def _append(file: BinaryIO, line: bytes) -> None:
    """Write a line whole, or leave the file as it is."""
    size = file.tell()
    try:
        written = file.write(line)
        if written != len(line):  # the disk became full within the line
            file.write(line[written:])
    except OSError:
        file.truncate(size)
        raise


def _remove_torn_line(file: BinaryIO) -> None:
    """Remove the piece of a line at the end of a file, as a power cut leaves it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(size - LONGEST_LINE, 0))
    end = file.read()
    if not end.endswith(b"\n"):
        file.truncate(size - len(end) + end.rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
