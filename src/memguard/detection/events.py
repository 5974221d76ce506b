"""What is found of a stream: its pictures one by one, and the events among them."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

# Stretches with fewer frames than this between them are one event, a second at 25 frames a second:
# who walks behind a tree is still there.
BRIDGED_FRAMES = 25

COLUMNS = (
    "frame", "seconds", "score", "psnr", "distance", "regular", "written",
    "left", "top", "right", "bottom",
)  # fmt: skip

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the picture; right and bottom are past the end."""


class Moment(NamedTuple):
    """A place in a video.

    Attributes:
        frame: Its number, from 0.
        seconds: Since the beginning of the video.
    """

    frame: int
    seconds: float


class ScoredPicture(NamedTuple):
    """What was found of one picture.

    Attributes:
        moment: When it was.
        score: How anomalous it is, in units of :class:`memguard.detection.alarm.Alarm`.
        psnr: dB.
        distance: How far it is from the memory's items.
        regular: What the guard compares with γ.
        written: Whether the guard wrote it into the memory.
        box: Where the worst patch is.
        rgb: uint8 (3, H, W), the picture.
        error: (S, S), the squared error of each pixel of the network's frame, in [0, 1].
    """

    moment: Moment
    score: float
    psnr: float
    distance: float
    regular: float
    written: bool
    box: Box
    rgb: Tensor
    error: Tensor

    def row(self) -> tuple[float | int, ...]:
        """Its values by :data:`COLUMNS`."""
        values = (self.score, self.psnr, self.distance, self.regular, int(self.written))
        return (*self.moment, *values, *self.box)


@dataclass(frozen=True)
class Event:
    """A stretch of a video whose score lies above the level.

    Attributes:
        start: Its first frame above the level.
        end: Its last one.
        peak: The frame with the highest score.
        score: The highest score.
        box: Where in the picture the worst patch of that frame is.
    """

    start: Moment
    end: Moment
    peak: Moment
    score: float
    box: Box


class EventStream:
    """Joins the frames of a video above a level into events, frame by frame.

    Args:
        level: Scores above it belong to an event.

    Attributes:
        open: The event that the last frame belongs to, or that the next may still be joined to.
    """

    def __init__(self, level: float) -> None:
        self.level = level
        self.open: Event | None = None

    def add(self, moment: Moment, score: float, box: Box = (0, 0, 0, 0)) -> Event | None:
        """Take the next frame; return the event that it ends, as it comes too late for it.

        Example:
            >>> stream = EventStream(level=1)
            >>> series = (7, 3.0), (8, 4.0), (99, 0.0)
            >>> ended = [stream.add(Moment(frame, frame / 25), score) for frame, score in series]
            >>> ended[2].start.frame, ended[2].end.frame, ended[2].peak.frame, stream.open
            (7, 8, 8, None)
        """
        ended = None
        if self.open and moment.frame - self.open.end.frame > BRIDGED_FRAMES:
            ended = self.finish()
        if score > self.level:
            if self.open is None:
                self.open = Event(moment, moment, moment, score, box)
            elif score > self.open.score:
                self.open = replace(self.open, end=moment, peak=moment, score=score, box=box)
            else:
                self.open = replace(self.open, end=moment)
        return ended

    def finish(self) -> Event | None:
        """End the open event, if there is one, and return it."""
        ended, self.open = self.open, None
        return ended
