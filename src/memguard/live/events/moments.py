"""The moments of a camera, numbered through restarts of the process, with the time of day."""

import time
from datetime import datetime, timedelta

from memguard.detection.events import Moment


class Moments:
    """Place the moments of a stream after those of earlier processes.

    Args:
        live: Whether this is a camera: its time passes without pictures, and is a time of day.
        frame: The number of its first frame.
        seconds: The time of its first frame.

    Attributes:
        last: The moment of the last frame.

    Example:
        >>> moments = Moments(live=False, frame=100, seconds=4.0)
        >>> moments.place(Moment(frame=25, seconds=1.0))
        Moment(frame=125, seconds=5.0, time=None)
    """

    def __init__(self, *, live: bool, frame: int = 0, seconds: float = 0.0) -> None:
        self._live, self._frame, self._seconds = live, frame, seconds
        self.last = Moment(frame, seconds, self._time_of_day())
        self._last_at = time.monotonic()
        self._placed = False

    def place(self, moment: Moment) -> Moment:
        """Return the moment of a new frame; those of a source that begins again follow the last.

        The time of day is that of its capture, or the present one if that is unknown.
        """
        if self._placed and self._frame + moment.frame <= self.last.frame:
            after = self.now()
            self._frame = after.frame + 1 - moment.frame
            self._seconds = after.seconds - moment.seconds
        self._placed = True
        frame, seconds = self._frame + moment.frame, self._seconds + moment.seconds
        day = moment.time or self._time_of_day()
        self.last, self._last_at = Moment(frame, seconds, day), time.monotonic()
        return self.last

    def now(self) -> Moment:
        """Return the present moment of a camera, or the last one of a file."""
        passed = time.monotonic() - self._last_at if self._live else 0.0
        return self._after_last(passed)

    def at(self, seconds: float) -> Moment:
        """Return the moment of a time of the stream at which there is no frame.

        It is the present one where a source that begins again has sent no frame yet.
        """
        since = self._seconds + seconds - self.last.seconds
        return self._after_last(since) if since >= 0 else self.now()

    def _after_last(self, seconds: float) -> Moment:
        day = self.last.time and self.last.time + timedelta(seconds=seconds)
        return self.last._replace(seconds=self.last.seconds + seconds, time=day)

    def _time_of_day(self) -> datetime | None:
        return datetime.now().astimezone() if self._live else None
