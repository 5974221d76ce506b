"""Times of frames and rates of videos, mended where a file's own are not credible."""

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from statistics import median

# No camera that is watched films faster; containers with a time base of milliseconds claim 1000,
# streams with that of MPEG 90 000.
FASTEST = 240.0
USUAL_FPS = 25.0

# A declared rate may differ by so much from the measured one, as times are rounded.
RATE_TOLERANCE = 0.02

# Seconds. Pictures out of order differ by less than the first; a clock that jumps back farther was
# set anew. No gap between two pictures of one video is as long as the second.
DISORDER = 1.0
LONGEST_GAP = 86400.0


def credible_rate(*declared: Fraction | float | None) -> float:
    """Choose the first rate that a camera may have; without any, the usual one.

    Args:
        declared: Rates as headers have them, the most trustworthy first, frames per second.

    Returns:
        Frames per second.

    Example:
        >>> credible_rate(90000, 1000, None, 30), credible_rate(None, 0)
        (30.0, 25.0)
    """
    rates = (float(rate) for rate in declared if rate)
    return next((rate for rate in rates if 0 < rate <= FASTEST), USUAL_FPS)


def measured_rate(times: Sequence[float]) -> float | None:
    """Count frames per second on average; the last frame lasts as long as most.

    Args:
        times: When frames begin, in any order, seconds.

    Returns:
        Frames per second; None where the times do not tell.

    Example:
        >>> measured_rate([0.0, 0.1, 0.2, 0.7])
        5.0
    """
    ordered = sorted(time for time in times if math.isfinite(time))
    gaps = [after - before for before, after in pairwise(ordered)]
    if not gaps or ordered[-1] == ordered[0]:
        return None
    rate = len(ordered) / (ordered[-1] - ordered[0] + median(gaps))
    return rate if 0 < rate < math.inf else None  # times too far apart or too near to count by


def frame_rate(
    times: Sequence[float], declared: Sequence[Fraction | float | None], tick: float = 0.0
) -> float:
    """Tell the frames per second of a file, on average: as declared if its times agree.

    Args:
        times: When its frames begin, in any order, seconds; empty where the file does not say.
        declared: Rates as its header has them, the most trustworthy first, frames per second.
        tick: What its times are rounded to, seconds.

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
    """Turns the time stamps of successive frames into times that begin at 0 and rise.

    A stamp that is missing or does not rise gives way to the time of the frame before and one
    frame's duration. A clock that was set anew goes on from there.

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
        self._trusted, self._since = 0.0, -1  # the last time that was read, and frames after it

    def __call__(self, stamp: float | None) -> float:
        """Tell when the next frame begins, in seconds since the first.

        Args:
            stamp: What the file says, seconds; None: nothing.
        """
        last = self._trusted + self._since * self._step
        self._since += 1
        expected = self._trusted + self._since * self._step
        if stamp is None or not math.isfinite(stamp):
            return expected
        if self._offset is None or not -DISORDER <= stamp - self._offset - last <= LONGEST_GAP:
            self._offset = stamp - expected  # begun, or set anew
            return expected
        time = stamp - self._offset
        if time <= last:
            return expected
        self._trusted, self._since = time, 0
        return time
