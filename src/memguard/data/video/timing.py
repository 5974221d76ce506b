"""Times of frames and rates of videos, corrected where those of a file are not credible."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from statistics import median

# No surveillance camera is faster; containers with a time base of milliseconds declare 1000,
# streams with that of MPEG 90 000.
FASTEST = 240.0
USUAL_FPS = 25.0

# The relative difference between a declared and a measured rate, because times are rounded.
RATE_TOLERANCE = 0.02

# Seconds. Pictures out of order differ by less than the first; a clock that jumps back farther was
# reset. No gap between two pictures of one video is as long as the second.
DISORDER = 1.0
LONGEST_GAP = 86400.0

# Seconds. A picture of a camera that comes later than this by its stamp has a wrong stamp: the
# connection would have been given up.
LATEST = 5.0

# Frames closer than so many usual gaps follow one another.
NEAR = 1.5


def credible_rate(*declared: Fraction | float | None) -> float:
    """Choose the first credible rate; without any, the usual rate of 25.

    Args:
        declared: Rates of headers, the most reliable first, frames per second.

    Returns:
        Frames per second.

    Example:
        >>> credible_rate(90000, 1000, None, 30), credible_rate(None, 0)
        (30.0, 25.0)
    """
    rates = (float(rate) for rate in declared if rate)
    return next((rate for rate in rates if 0 < rate <= FASTEST), USUAL_FPS)


def measured_rate(times: Sequence[float]) -> float | None:
    """Measure the average rate; the last frame has the median duration.

    Args:
        times: The times of frames, in any order, seconds.

    Returns:
        Frames per second; None if the times determine no rate.

    Example:
        >>> measured_rate([0.0, 0.1, 0.2, 0.7])
        5.0
    """
    ordered = sorted(time for time in times if math.isfinite(time))
    gaps = [after - before for before, after in pairwise(ordered)]
    if not gaps or ordered[-1] == ordered[0]:
        return None
    rate = len(ordered) / (ordered[-1] - ordered[0] + median(gaps))
    return rate if 0 < rate < math.inf else None  # None: times too far apart or too close


def frame_rate(
    times: Sequence[float], declared: Sequence[Fraction | float | None], tick: float = 0.0
) -> float:
    """Return the average rate of a file: the declared rate if it agrees with the times.

    Args:
        times: The times of its frames, in any order, seconds; may be empty.
        declared: Rates of its header, the most reliable first, frames per second.
        tick: The resolution of its times, seconds.

    Returns:
        Frames per second, positive and finite.

    Example:
        >>> round(frame_rate([0.067, 0.1, 0.134, 0.167], [1000, 60], tick=0.001), 1)
        30.1
        >>> frame_rate([0.0, 0.033, 0.067, 0.1], [Fraction(30000, 1001)], tick=0.001)
        29.97002997002997
    """
    measured = measured_rate(times)
    if measured is None:
        return credible_rate(*declared)
    tolerance = RATE_TOLERANCE + 2 * tick * measured / len(times)
    for rate in declared:
        if rate and abs(float(rate) / measured - 1) <= tolerance:
            return float(rate)
    return measured


class Clock:
    """Turn the time stamps of successive frames into times that begin at 0 and rise.

    If a stamp is missing or does not rise, the frame begins one frame's duration after the one
    before. The times continue after a reset of the recorder's clock.

    Args:
        fps: The rate of the video, frames per second.

    Example:
        >>> clock = Clock(fps=10.0)
        >>> [round(clock(stamp), 1) for stamp in (5.0, 5.1, None, 5.1, 5.4)]
        [0.0, 0.1, 0.2, 0.3, 0.4]
    """

    def __init__(self, fps: float) -> None:
        self._step = 1 / fps
        self._offset: float | None = None
        self._trusted = 0.0  # the last credible time
        self._since = -1  # frames after it

    def __call__(self, stamp: float | None) -> float:
        """Return the time of the next frame, in seconds since the first.

        Args:
            stamp: The stamp of the frame, seconds; None if it has none.
        """
        last = self._trusted + self._since * self._step
        self._since += 1
        expected = self._trusted + self._since * self._step
        if stamp is None or not math.isfinite(stamp):
            return expected
        if self._offset is None or not -DISORDER <= stamp - self._offset - last <= LONGEST_GAP:
            self._offset = stamp - expected  # at the first frame, or after a reset
            return expected
        time = stamp - self._offset
        if time <= last:
            return expected
        self._trusted, self._since = time, 0
        return time


class LiveClock:
    """Turn the time stamps of a camera into times of capture.

    The least delayed picture so far was captured when it arrived, and stamps give the times of the
    others. A stamp that makes a picture too late is a new beginning.

    Args:
        early: By how many seconds a picture may arrive before its time.

    Example:
        >>> clock = LiveClock()
        >>> [clock(stamp, arrived) for stamp, arrived in ((5.0, 1.5), (5.5, 1.75), (6.0, 3.0))]
        [1.5, 1.75, 2.25]
    """

    def __init__(self, early: float = 0.0) -> None:
        self._early = early
        self._offset: float | None = None

    def __call__(self, stamp: float | None, arrived: float) -> float:
        """Return the time of capture on the clock of the arrivals.

        Args:
            stamp: The time stamp, seconds; None if there is none.
            arrived: The time of arrival, seconds.
        """
        if stamp is None or not math.isfinite(stamp):
            return arrived
        if self._offset is None or not -self._early <= arrived - stamp - self._offset <= LATEST:
            self._offset = arrived - stamp
        return stamp + self._offset


class Thinning:
    """Choose frames by their times, evenly, about so many a second.

    Args:
        rate: Frames per second of the stream.
        fps: Frames per second to choose; None for all.

    Attributes:
        fps: Frames per second that are chosen.

    Example:
        >>> chooses = Thinning(rate=25, fps=5)
        >>> [number for number in range(12) if chooses(number / 25)]
        [0, 5, 10]
        >>> Thinning(rate=30, fps=25).fps
        30.0
    """

    def __init__(self, rate: float, fps: float | None) -> None:
        step = max(round(rate / fps), 1) if fps else 1
        self.fps = rate / step
        # Half a frame early is near enough, as times are rounded. All frames need no times.
        self._shortest = (step - 0.5) / rate if step > 1 else 0.0
        self._last = -math.inf

    def __call__(self, seconds: float) -> bool:
        """Return whether to choose the next frame."""
        if seconds - self._last < self._shortest:
            return False
        self._last = seconds
        return True

    def is_near(self, gap: float) -> bool:
        """Return whether a chosen frame follows one so many seconds before, in spite of a loss."""
        return gap * self.fps <= NEAR
