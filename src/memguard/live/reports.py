"""Reports of events: a line each when an event begins, while it lasts, and when it ends."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from memguard.detection.events import Event, Moment

Kind = Literal["anomaly", "standing", "outage", "condition"]
State = Literal["begin", "ongoing", "end"]
ConditionKind = Literal[
    "black", "covered", "dark", "bright", "frozen",
    "lights", "shaken", "blurred", "noisy", "moved",
]  # fmt: skip
ANOMALY: Kind = "anomaly"
STANDING: Kind = "standing"
OUTAGE: Kind = "outage"
CONDITION: Kind = "condition"
BEGIN: State = "begin"
ONGOING: State = "ongoing"
END: State = "end"

SCORED = (ANOMALY, STANDING)
"""The kinds of events that have a score above a level."""


class Condition(NamedTuple):
    """A condition of a camera.

    Attributes:
        kind: Its kind.
        sentence: A description for people.
    """

    kind: ConditionKind
    sentence: str


class Report(BaseModel):
    """A report of an event, a line of ``events.jsonl``.

    Attributes:
        id: The same in all reports of an event, and unique.
        camera: The name of the camera or video.
        kind: ``anomaly``, ``standing`` (something stands still that is no background), ``outage``
            (no pictures come), or ``condition`` (of the camera).
        state: ``begin``, ``ongoing`` or ``end``.
        start_frame: The number of the first frame.
        start_seconds: Its time since the beginning.
        start_time: Its time of day; None in a file.
        end_frame: The number of the last frame so far.
        end_seconds: Its time since the beginning.
        end_time: Its time of day.
        peak_frame: The number of the frame with the highest score so far.
        peak_seconds: Its time since the beginning.
        peak_time: Its time of day.
        peak_score: Its score.
        normal_per_hour: The expected number of times per hour that normal video has this score.
        left: The left side of the peak's box, pixels.
        top: Its upper side.
        right: Its right side, past the end.
        bottom: Its lower side, past the end.
        reason: The reason of an outage or condition.
        snapshot: The path of the peak's picture.
        clip: The path of the event's clip.
        more_clips: The paths of the clips of its rest, one for each restart in the event.
        notified: Whether it is sent, or held back by the limits of notifications.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    camera: str
    kind: Kind
    state: State
    start_frame: int
    start_seconds: float
    start_time: datetime | None = None
    end_frame: int
    end_seconds: float
    end_time: datetime | None = None
    peak_frame: int | None = None
    peak_seconds: float | None = None
    peak_time: datetime | None = None
    peak_score: float | None = None
    normal_per_hour: float | None = None
    left: int | None = None
    top: int | None = None
    right: int | None = None
    bottom: int | None = None
    reason: str | None = None
    snapshot: str | None = None
    clip: str | None = None
    more_clips: list[str] = []
    notified: bool = False

    def after(self, state: State, **changes: Any) -> "Report":
        """Return the next report of the same event."""
        return self.model_copy(update={"state": state, **changes})

    @property
    def clips(self) -> list[str]:
        """The paths of all clips, in order."""
        return [self.clip, *self.more_clips] if self.clip else []

    def with_clips(self, clips: Sequence[str]) -> "Report":
        """Return the report with these clips in place of its own."""
        first, rest = clips[0] if clips else None, list(clips[1:])
        return self.model_copy(update={"clip": first, "more_clips": rest})

    def without_lost_clip(self) -> "Report":
        """Return the report without a last clip of which a kill left nothing on disk."""
        lost = self.clips and not Path(self.clips[-1]).exists()
        return self.with_clips(self.clips[:-1]) if lost else self

    def moment(self, name: str) -> Moment:
        """Return the moment ``start``, ``end`` or ``peak``."""
        return Moment(*(getattr(self, f"{name}_{field}") for field in Moment._fields))

    def event(self) -> Event:
        """Return the event of a kind of :data:`SCORED`."""
        start, end, peak = map(self.moment, ("start", "end", "peak"))
        box = (self.left or 0, self.top or 0, self.right or 0, self.bottom or 0)
        return Event(start, end, peak, self.peak_score or 0.0, box)


# A table has no lists; the events of memguard.score, which it is for, have one clip each.
REPORT_COLUMNS = tuple(name for name in Report.model_fields if name != "more_clips")


def fields_of(event: Event, normal_per_hour: float) -> dict[str, Any]:
    """Return the fields of a report that an event has.

    Args:
        event: The event.
        normal_per_hour: The expected number of times per hour that normal video has its score.

    Example:
        >>> moment = Moment(frame=50, seconds=2.0)
        >>> fields = fields_of(Event(moment, moment, moment, 3.0, (0, 0, 8, 8)), 0.5)
        >>> fields["peak_frame"], fields["end_seconds"], fields["right"]
        (50, 2.0, 8)
    """
    sides = zip(("left", "top", "right", "bottom"), event.box, strict=True)
    return {
        **named("start", event.start),
        **named("end", event.end),
        **named("peak", event.peak),
        "peak_score": event.score,
        "normal_per_hour": normal_per_hour,
        **dict(sides),
    }


def named(name: str, moment: Moment) -> dict[str, Any]:
    """Return the fields of a moment.

    Example:
        >>> named("end", Moment(50, 2.0))
        {'end_frame': 50, 'end_seconds': 2.0, 'end_time': None}
    """
    return {f"{name}_{field}": value for field, value in moment._asdict().items()}
