"""The scores of a camera, a row a minute, and their medians, an hour each."""

import csv
import logging
from collections import deque
from datetime import datetime
from pathlib import Path
from statistics import median

COLUMNS = ("time", "highest", "median", "frames")

# Scored minutes before an hourly median is known.
HOUR = 60

log = logging.getLogger(__name__)


class MinuteScores:
    """Write the scores of each minute into a file that grows by 20 MB a year.

    Args:
        path: The file, ``scores_minutes.csv``; a restarted process appends to it.

    Attributes:
        hourly: The median score of the last 60 scored minutes; None before.

    Example:
        >>> scores = MinuteScores(Path("door/scores_minutes.csv"))
        >>> scores.add(0.4, datetime(2026, 1, 1, 12, 30, 0))
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begins: datetime | None = None
        self._scores: list[float] = []
        self._medians: deque[float] = deque(maxlen=HOUR)

    @property
    def hourly(self) -> float | None:
        """The median of the last 60 minutes' medians; None before."""
        return median(self._medians) if len(self._medians) == HOUR else None

    def add(self, score: float, now: datetime) -> None:
        """Add the score of a frame; the minutes before its own are written."""
        minute = now.replace(second=0, microsecond=0)
        if self._begins != minute:
            self.write()
            self._begins = minute
        self._scores.append(score)

    def write(self) -> None:
        """Write the minute so far."""
        if not self._scores or self._begins is None:
            return
        self._medians.append(median(self._scores))
        numbers = f"{max(self._scores):.4g}", f"{self._medians[-1]:.4g}", len(self._scores)
        self._scores = []
        try:
            with self._path.open("a", newline="", encoding="utf-8") as file:
                rows = csv.writer(file)
                if file.tell() == 0:
                    rows.writerow(COLUMNS)
                rows.writerow((self._begins.isoformat(), *numbers))
        except OSError as error:  # the camera is watched all the same
            log.warning("%s: a minute cannot be written (%s).", self._path, error.strerror)
