"""The hours of the day at which a camera is watched."""

from collections.abc import Sequence
from datetime import datetime, time


def is_within(hours: Sequence[str] | None, moment: datetime) -> bool:
    """Return whether a camera is watched at a moment.

    Args:
        hours: Spans of the local time of day, ``07:00-19:30``; one that ends before it begins goes
            over midnight. None: always.
        moment: A moment of the local time.

    Example:
        >>> night = ["22:00-06:00"]
        >>> is_within(night, datetime(2026, 1, 1, 23, 0)), is_within(night, datetime(2026, 1, 1, 7))
        (True, False)
    """
    return hours is None or any(_contains(span, moment.time()) for span in hours)


def _contains(span: str, now: time) -> bool:
    begins, ends = (time.fromisoformat(text) for text in span.split("-"))
    if begins <= ends:
        return begins <= now < ends
    return now >= begins or now < ends
