"""The status of a camera, as the live page and the metrics show it."""

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Literal

State = Literal["connecting", "watching", "outage", "outside hours", "ended"]


@dataclass(frozen=True)
class CameraStatus:
    """The status of a camera. Its times have a time zone.

    Attributes:
        name: The name of the camera.
        state: The activity of the camera.
        since: The time at which this state began.
        refreshed: The time at which this status was made.
        fps: The scored frames per second, over the last seconds; None without any.
        score: The score of the last frame; None where no frames are scored now.
        level: The score above which there is an alarm; None before its checkpoint is loaded.
        lag: The seconds from the capture of the last frame to its score; None in a recording, and
            where no frames are scored now.
        frames: The number of scored frames.
        dropped: The number of frames that were dropped to catch up.
        torn: The number of damaged frames, which are not scored.
        events: The number of events.
        held_back: The number of notifications that their limits held back.
        drift: The median score of the last hour; None in the first hour.
        recalibrate: Whether this median is so far from the calibrated one that the level no longer
            holds.
    """

    name: str
    state: State
    since: datetime
    refreshed: datetime
    fps: float | None
    score: float | None
    level: float | None
    lag: float | None
    frames: int
    dropped: int
    torn: int
    events: int
    held_back: int
    drift: float | None
    recalibrate: bool


def awaited(name: str) -> CameraStatus:
    """Return the first status of a camera, which nobody has tried yet.

    Example:
        >>> awaited("door").state
        'connecting'
    """
    now = datetime.now(timezone.utc)
    return CameraStatus(
        name, "connecting", since=now, refreshed=now, fps=None, score=None, level=None, lag=None,
        frames=0, dropped=0, torn=0, events=0, held_back=0, drift=None, recalibrate=False,
    )  # fmt: skip
