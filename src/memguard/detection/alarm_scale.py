"""The scale of an alarm: scores of patch errors, and the level of a rate of false alarms."""

from math import inf
from typing import Any, NamedTuple

import numpy as np

from memguard.detection.tail import FEW_PEAKS, Tail

TYPICAL, HIGH = 50, 99  # the percentiles with score 0 and 1
SMALLEST_UNIT = 1e-8  # a patch error below the precision of 8-bit video

# Without an alarm in n hours, the rate is below 3/n with 95 % confidence (the rule of three).
ALARMS_TO_SHOW_A_RATE = 3
CONFIDENCE = 0.9


class Level(NamedTuple):
    """The level of a rate of false alarms.

    Attributes:
        score: Normal video is expected to exceed it at that rate.
        low: The lower end of its 90 % confidence interval; NaN in checkpoints of earlier versions.
        high: The upper end.
    """

    score: float
    low: float
    high: float


class AlarmScale:
    """Turn patch errors into scores, and false alarms per hour into a level.

    **Score.** The score is linear in the squared error: 0 is the median normal frame, and one of a
    hundred normal frames exceeds 1.

    **Level.** One false alarm an hour is rarer than minutes of normal video can show. Their tail is
    extrapolated; see :mod:`memguard.detection.tail`.

    Attributes:
        normal_scores: (101,), the percentiles of the patch error over normal frames; an array, or
            the buffer of a checkpoint.
        sample: (2,), the number of normal frames, and of the peaks that the tail is fitted to.
        tail: (201, 7, 4), the values of :class:`~memguard.detection.tail.Tail` in patch errors, for
            the sample and its resamplings, and for each threshold.
    """

    normal_scores: Any
    sample: Any
    tail: Any

    @property
    def calibrated(self) -> bool:
        """Whether normal video has been measured."""
        return not np.isnan(_array(self.normal_scores)).any()

    @property
    def sample_counts(self) -> tuple[int, int]:
        """The numbers of normal frames and of their peaks, the sample behind the level."""
        frames, peaks = self.sample.tolist()
        return int(frames), int(peaks)

    def hours(self, fps: float) -> float:
        """Return the length of the normal video behind the level.

        Args:
            fps: Frames per second of the video.
        """
        return self.sample_counts[0] / fps / 3600

    def rarest_rate(self, fps: float) -> float:
        """Return the fewest false alarms per hour that the sample can show; infinite without peaks.

        Args:
            fps: Frames per second of the video.
        """
        _, peaks = self.sample_counts
        return ALARMS_TO_SHOW_A_RATE / self.hours(fps) if peaks >= FEW_PEAKS else inf

    def score(self, error: Any) -> Any:
        """Turn patch errors, an array or a tensor, into scores."""
        return (error - self._typical) / self._unit

    def error(self, score: float) -> float:
        """Turn a score into its patch error."""
        return self._typical + score * self._unit

    def level(self, per_hour: float, fps: float) -> float:
        """Estimate the score that normal video exceeds at a given rate.

        Args:
            per_hour: Expected events of normal video per hour, above 0.
            fps: Frames per second of the video.
        """
        return self.level_with_interval(per_hour, fps).score

    def level_with_interval(self, per_hour: float, fps: float) -> Level:
        """Estimate the score that normal video exceeds at a given rate, and how well it is known.

        Args:
            per_hour: Expected events of normal video per hour, above 0.
            fps: Frames per second of the video.
        """
        errors = self._tail.error(per_hour / 3600 / fps)
        scores = (errors - self._typical) / self._unit
        low, high = np.quantile(scores[1:], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
        return Level(float(scores[0]), float(low), float(high))

    def per_hour(self, score: float, fps: float) -> float:
        """Estimate how often per hour normal video exceeds a score; the inverse of :meth:`level`.

        Args:
            score: A score, at least the threshold of the peaks.
            fps: Frames per second of the video.
        """
        return float(self._tail.per_frame(self.error(score))[0]) * 3600 * fps

    @property
    def _typical(self) -> float:
        return float(self.normal_scores[TYPICAL])

    @property
    def _unit(self) -> float:
        return max(float(self.normal_scores[HIGH]) - self._typical, SMALLEST_UNIT)

    @property
    def _tail(self) -> Tail:
        return Tail(*np.moveaxis(_array(self.tail).astype(float), -1, 0))


class GraphAlarm(AlarmScale):
    """The scale of a calibrated alarm, as an exported graph's description has it.

    Args:
        normal_scores: See :class:`AlarmScale`.
        sample: See :class:`AlarmScale`.
        tail: See :class:`AlarmScale`.

    Example:
        >>> tail = np.tile([[0.9, 0.01, 0.02, 0.0]], (201, 7, 1))
        >>> alarm = GraphAlarm(np.linspace(0, 1, 101), np.array([5000, 30]), tail)
        >>> alarm.score(np.array([0.5, 0.99])).round(3), round(alarm.error(score=1.0), 2)
        (array([0., 1.]), 0.99)
        >>> alarm.level(per_hour=1, fps=25) > alarm.level(per_hour=60, fps=25)
        True
    """

    def __init__(self, normal_scores: np.ndarray, sample: np.ndarray, tail: np.ndarray) -> None:
        self.normal_scores, self.sample, self.tail = normal_scores, sample, tail


def _array(values: Any) -> np.ndarray:
    """Take the values of an array, or of a buffer on any device."""
    return np.asarray(values.cpu() if hasattr(values, "cpu") else values)
