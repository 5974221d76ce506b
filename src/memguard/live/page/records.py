"""The events and scores of a camera: the recent ones, or those of a day.

The files grow for months, and are read in part: from their end, or from the first line of the day.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pydantic import ValidationError

from memguard.live.reports import Report

# Some hundred reports, and more minutes than a day has.
MOST_BYTES = 2**18
# The steps in which the beginning of a day is searched for.
STEP = 2**12
NEVER = datetime.max.replace(tzinfo=timezone.utc)


class Minute(NamedTuple):
    """The scores of a minute.

    Attributes:
        time: Its beginning.
        highest: Its highest score.
        median: Its median score.
    """

    time: datetime
    highest: float
    median: float


def recent_events(path: Path) -> list[Report]:
    """Return the last report of each recent event, in the order in which the events began.

    Args:
        path: ``events.jsonl`` of a camera. Lines that are no reports are left out.
    """
    return _events(path, None, *_version(path))


def events_of(path: Path, since: datetime) -> list[Report]:
    """Return the last report of each event that is reported after a moment.

    Args:
        path: As in :func:`recent_events`.
        since: The moment. Some hundred reports after it are read.
    """
    return _events(path, since, *_version(path))


def recent_minutes(path: Path) -> list[Minute]:
    """Return the recent minutes.

    Args:
        path: ``scores_minutes.csv`` of a camera, with columns ``time,highest,median,frames``. Lines
            that do not fit are left out, as the first is.
    """
    return _minutes(path, None, *_version(path))


def minutes_of(path: Path, since: datetime) -> list[Minute]:
    """Return the minutes of a day and more after a moment.

    Args:
        path: As in :func:`recent_minutes`.
        since: The moment.
    """
    return _minutes(path, since, *_version(path))


def _version(path: Path) -> tuple[int, int]:
    """Return numbers that change with a file: a file is read again only then."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=128)
def _events(path: Path, since: datetime | None, size: int, modified: int) -> list[Report]:
    reports = map(_report, _lines(path, since, size, _reported))
    return list({report.id: report for report in reports if report}.values())


@lru_cache(maxsize=128)
def _minutes(path: Path, since: datetime | None, size: int, modified: int) -> list[Minute]:
    return [minute for line in _lines(path, since, size, _begun) if (minute := _minute(line))]


def _report(line: str) -> Report | None:
    try:
        return Report.model_validate_json(line)
    except ValidationError:
        return None


def _minute(line: str) -> Minute | None:
    try:
        time, highest, median, _ = line.split(",")
        return Minute(datetime.fromisoformat(time).astimezone(), float(highest), float(median))
    except ValueError:
        return None


def _reported(line: str) -> datetime | None:
    report = _report(line)
    return report.end_time if report else None


def _begun(line: str) -> datetime | None:
    minute = _minute(line)
    return minute.time if minute else None


def _lines(
    path: Path, since: datetime | None, size: int, time_of: Callable[[str], datetime | None]
) -> list[str]:
    """Return whole lines of a file, at most 256 KB; none if it cannot be read.

    Args:
        path: The file.
        since: The moment of the first line; None: the lines are the last ones.
        size: The size of the file.
        time_of: Returns the time of a line, if it has one. Times rise.
    """
    try:
        with path.open("rb") as file:
            if since is None:
                begin = max(size - MOST_BYTES, 0)
            else:
                steps = range(0, size, STEP)
                later = bisect_left(steps, since, key=lambda step: _time_at(file, step, time_of))
                begin = steps[max(later - 1, 0)] if steps else 0
            file.seek(begin)
            text = file.read(MOST_BYTES).decode(errors="replace")
    except OSError:
        return []
    lines = text.split("\n")[:-1]  # the last one has no end, or is empty
    return lines[1:] if begin else lines


def _time_at(file: BinaryIO, begin: int, time_of: Callable[[str], datetime | None]) -> datetime:
    """Return the time of the first whole line after a place that has one."""
    file.seek(begin)
    if begin:
        file.readline()
    lines: Iterable[str] = (line.decode(errors="replace") for line in file)
    return next((time for line in lines if (time := time_of(line.rstrip("\n")))), NEVER)
