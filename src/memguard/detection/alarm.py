"""The alarm: a scale for patch errors, and the score that raises an alarm.

Both are learned from normal video: from what a training holds out, or by a calibration. Neither
needs the end of the watched video, and the scores of different videos by one model are comparable.
"""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from memguard.detection.events import BRIDGED_FRAMES
from memguard.detection.tail import FEW_PEAKS, RESAMPLINGS, UNREACHED, Tail, fit_tail
from memguard.detection.tail import QUANTILES as THRESHOLDS

QUANTILES = 101
TYPICAL, HIGH = 50, 99  # the percentiles with score 0 and 1
EARLIER_THRESHOLD = 0.9
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


class Alarm(nn.Module):
    """Turn patch errors into scores, and false alarms per hour into a level.

    **Score.** The score is linear in the squared error: 0 is the median normal frame, and one of a
    hundred normal frames exceeds 1.

    **Level.** One false alarm an hour is rarer than minutes of normal video can show. Their tail is
    extrapolated; see :mod:`memguard.detection.tail`.

    A checkpoint of a version without alarms loads as not calibrated. One of a version without
    intervals keeps its level.

    Attributes:
        normal_scores: (101,), the percentiles of the patch error over normal frames, NaN before
            :meth:`calibrate`. It is a buffer, because checkpoints store it.
        sample: (2,), the number of normal frames, and of the peaks that the tail is fitted to.
        tail: (201, 7, 4), the values of :class:`~memguard.detection.tail.Tail` in patch errors, for
            the sample and its resamplings, and for each threshold.

    Example:
        >>> alarm = Alarm()
        >>> alarm.calibrate([torch.linspace(0, 1, 101)])
        >>> alarm.score(torch.tensor([0.5, 0.99]))
        tensor([0., 1.])
        >>> round(alarm.error(score=1.0), 2)
        0.99
        >>> alarm.level(per_hour=1, fps=25) > alarm.level(per_hour=60, fps=25)
        True
    """

    normal_scores: Tensor
    sample: Tensor
    tail: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("normal_scores", torch.full((QUANTILES,), torch.nan))
        self.register_buffer("sample", torch.full((2,), torch.nan))
        self.register_buffer("tail", torch.full((1 + RESAMPLINGS, len(THRESHOLDS), 4), torch.nan))
        self.register_load_state_dict_pre_hook(_convert_earlier)

    @torch.no_grad()
    def calibrate(self, videos: Sequence[Tensor], bridged: int = BRIDGED_FRAMES) -> None:
        """Learn the distribution of normal patch errors.

        Args:
            videos: For each normal video, (frames,), the error of the worst patch of each frame, in
                order, smoothed over the past.
            bridged: Of the events that the level is for; see
                :class:`~memguard.detection.events.EventStream`.
        """
        errors = torch.cat(list(videos)).float()
        grid = torch.linspace(0, 1, QUANTILES, device=errors.device)
        self.normal_scores.copy_(errors.quantile(grid))
        series = [video.cpu().double().numpy() for video in videos]
        tail, peaks = fit_tail(series, self._unit, bridged)
        self.tail.copy_(torch.from_numpy(np.stack(tail, axis=-1)))
        self.sample.copy_(torch.tensor([len(errors), peaks]))

    @property
    def calibrated(self) -> bool:
        """Whether :meth:`calibrate` has run."""
        return not bool(self.normal_scores.isnan().any())

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

    def score(self, error: Tensor) -> Tensor:
        """Turn patch errors into scores."""
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
        return Tail(*np.moveaxis(self.tail.cpu().double().numpy(), -1, 0))


class OptionalAlarm(Alarm):
    """An alarm that a checkpoint stores once it is calibrated, and not before."""

    def __init__(self) -> None:
        super().__init__()
        self.register_state_dict_post_hook(_leave_out_uncalibrated)


def _leave_out_uncalibrated(
    alarm: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    assert isinstance(alarm, Alarm)
    if not alarm.calibrated:
        for name, _buffer in alarm.named_buffers():
            del state[prefix + name]


def _convert_earlier(alarm: Alarm, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Load checkpoints of versions without alarms as not calibrated, and without intervals."""
    state.setdefault(prefix + "normal_scores", torch.full_like(alarm.normal_scores, torch.nan))
    counts = state.get(prefix + "tail", torch.full((3,), torch.nan))
    if counts.shape != (3,):
        return
    peaks, frames, excess = counts.tolist()
    earlier = Alarm()
    earlier.normal_scores.copy_(state[prefix + "normal_scores"])
    threshold = earlier.normal_scores.quantile(EARLIER_THRESHOLD)
    scale = (excess + earlier._unit) / (peaks + 1)
    earlier.sample.copy_(torch.tensor([frames, peaks]))
    earlier.tail[0] = torch.tensor(UNREACHED)
    earlier.tail[0, 0] = torch.tensor([threshold, max(peaks, 1) / frames, scale, 0])
    state.update(earlier.state_dict(prefix=prefix))
