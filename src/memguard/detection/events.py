"""The results of a stream: scored pictures, and the events among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import NamedTuple

import numpy as np

from memguard.scoring.regions import Region

# Events at most this many frames apart are one, a second at 25 frames a second: a person
# who walks behind a tree is still there.
BRIDGED_FRAMES = 25

COLUMNS = (
    "frame", "seconds", "score", "psnr", "distance", "regular", "written",
    "left", "top", "right", "bottom",
)  # fmt: skip

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the picture; right and bottom are past the end."""


class Moment(NamedTuple):
    """A moment of a video.

    Attributes:
        frame: The number of the frame, from 0.
        seconds: The time since the beginning of the video.
        time: The time of day of a camera's frame; None in a file, whose time is unknown.
    """

    frame: int
    seconds: float
    time: datetime | None = None


class ScoredPicture(NamedTuple):
    """A picture with its scores.

    Attributes:
        moment: The moment of the picture in the video.
        score: The anomaly score, in units of :class:`memguard.detection.alarm.Alarm`.
        psnr: dB.
        distance: The distance of its queries from the memory's items.
        regular: The regular score, which the guard compares with γ.
        written: Whether the picture updated the memory.
        box: The box of the worst patch.
        rgb: uint8 (3, H, W), the picture.
        error: (H, W), the squared error of each pixel of the network's frame, in [0, 1].
        regions: Finds the places with a score above that of the median normal frame, the highest
            first; see :func:`~memguard.scoring.find_regions`. It takes time, and not all need them.
    """

    moment: Moment
    score: float
    psnr: float
    distance: float
    regular: float
    written: bool
    box: Box
    rgb: np.ndarray
    error: np.ndarray
    regions: Callable[[], Sequence[Region]] = tuple

    def row(self) -> tuple[float | int, ...]:
        """Return the values of :data:`COLUMNS`."""
        values = (self.score, self.psnr, self.distance, self.regular, int(self.written))
        return (self.moment.frame, self.moment.seconds, *values, *self.box)


@dataclass(frozen=True)
class Event:
    """An interval of a video with scores above the level.

    Attributes:
        start: The first frame above the level.
        end: The last frame above the level.
        peak: The frame with the highest score.
        score: The highest score.
        box: The box of the worst patch of the peak.
    """

    start: Moment
    end: Moment
    peak: Moment
    score: float
    box: Box


class EventStream:
    """Join the frames of a video above a level to events, frame by frame.

    Args:
        level: Frames with a score above it belong to an event.
        longest: The longest duration of an event, seconds. A longer one ends, and the next begins.
        bridged: The most frames at or below the level between two frames of an event.

    Attributes:
        open: The event that the next frame may still belong to.

    Example:
        >>> stream = EventStream(level=1)
        >>> series = (7, 3.0), (8, 4.0), (99, 0.0)
        >>> ended = [stream.add(Moment(frame, frame / 25), score) for frame, score in series]
        >>> ended[2].start.frame, ended[2].end.frame, ended[2].peak.frame, stream.open
        (7, 8, 8, None)
    """

    def __init__(self, level: float, longest: float = inf, bridged: int = BRIDGED_FRAMES) -> None:
        self.level, self.longest, self._bridged = level, longest, bridged
        self.open: Event | None = None
        self._skipped = -1

    def add(self, moment: Moment, score: float, box: Box = (0, 0, 0, 0)) -> Event | None:
        """Add the next frame, and return the event that has ended before it, if any."""
        ended = None
        if self.open and self._is_over(self.open, moment):
            ended = self.finish()
        if score > self.level:
            if self.open is None:
                self.open = Event(moment, moment, moment, score, box)
            elif score > self.open.score:
                self.open = replace(self.open, end=moment, peak=moment, score=score, box=box)
            else:
                self.open = replace(self.open, end=moment)
        return ended

    def skip(self, moment: Moment) -> None:
        """Leave out the next frame, as it has no score: an event may last through it."""
        self._skipped = moment.frame

    def finish(self) -> Event | None:
        """End the open event, and return it, if any."""
        ended, self.open = self.open, None
        return ended

    def _is_over(self, event: Event, moment: Moment) -> bool:
        quiet = moment.frame - max(event.end.frame, self._skipped) > self._bridged
        return quiet or moment.seconds - event.start.seconds > self.longest
