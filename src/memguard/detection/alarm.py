"""The alarm: a scale for patch errors, and the score that raises an alarm.

Both are learned from held-out normal video. Neither needs the end of the watched video, and the
scores of different videos by one model are comparable.
"""

from collections.abc import Sequence
from math import exp, log

import torch
from torch import Tensor, nn

from memguard.detection.events import EventStream, Moment

QUANTILES = 101
TYPICAL, HIGH = 0.5, 0.99  # the quantiles with score 0 and 1
TAIL = 0.9  # the quantile above which peaks are counted
SMALLEST_UNIT = 1e-8  # a patch error below the precision of 8-bit video


class Alarm(nn.Module):
    """Turn patch errors into scores, and false alarms per hour into a level.

    **Score.** The score is linear in the squared error: 0 is the median held-out normal frame, and
    one of a hundred normal frames exceeds 1.

    **Level.** One false alarm an hour is far rarer than a few minutes of held-out video can show.
    Their tail is extrapolated (peaks over threshold): frames above the 90th percentile are joined
    to events, and the excess of an event's peak is modelled as exponential. Normal video exceeds
    the threshold by x at r·exp(−x/β) events per frame, with r events per held-out frame. β is the
    mean excess of these events and of one more, whose excess is the score's unit. The extra event
    raises the level if events are few, and hardly changes it if they are many.

    A checkpoint of a version without alarms loads as not calibrated.

    Attributes:
        normal_scores: (101,), the percentiles of the patch error over held-out normal frames, NaN
            before :meth:`calibrate`. It is a buffer, because checkpoints store it.
        tail: (3,), the number of events above the 90th percentile, the number of held-out frames,
            and the sum of the events' excess in patch errors.

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
    tail: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("normal_scores", torch.full((QUANTILES,), torch.nan))
        self.register_buffer("tail", torch.full((3,), torch.nan))
        self.register_load_state_dict_pre_hook(_add_missing_buffers)

    @torch.no_grad()
    def calibrate(self, videos: Sequence[Tensor]) -> None:
        """Learn the distribution of normal patch errors.

        Args:
            videos: For each held-out normal video, (frames,), the error of the worst patch of each
                frame, in order, smoothed over the past.
        """
        errors = torch.cat(list(videos)).float()
        grid = torch.linspace(0, 1, QUANTILES, device=errors.device)
        self.normal_scores.copy_(errors.quantile(grid))
        threshold = float(self.normal_scores.quantile(TAIL))
        peaks = [peak for video in videos for peak in _peaks(video.tolist(), threshold)]
        excess = sum(peak - threshold for peak in peaks)
        self.tail.copy_(torch.tensor([len(peaks), len(errors), excess]))

    @property
    def calibrated(self) -> bool:
        """Whether :meth:`calibrate` has run."""
        return not bool(self.normal_scores.isnan().any())

    @property
    def sample_counts(self) -> tuple[int, int]:
        """The numbers of held-out frames and of their events, the sample behind the level."""
        events, frames, _ = self.tail.tolist()
        return int(frames), int(events)

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
        events, frames, _ = self.tail.tolist()
        often = max(events, 1) / frames * 3600 * fps
        return self._threshold + self._mean_excess * max(log(often / per_hour), 0)

    def per_hour(self, score: float, fps: float) -> float:
        """Estimate how often per hour normal video exceeds a score; the inverse of :meth:`level`.

        Args:
            score: A score, at least the 90th percentile of normal frames.
            fps: Frames per second of the video.
        """
        events, frames, _ = self.tail.tolist()
        often = max(events, 1) / frames * 3600 * fps
        return often * exp(-(score - self._threshold) / self._mean_excess)

    @property
    def _typical(self) -> float:
        return float(self.normal_scores.quantile(TYPICAL))

    @property
    def _unit(self) -> float:
        return max(float(self.normal_scores.quantile(HIGH)) - self._typical, SMALLEST_UNIT)

    @property
    def _threshold(self) -> float:
        return float(self.score(self.normal_scores.quantile(TAIL)))

    @property
    def _mean_excess(self) -> float:
        events, _, excess = self.tail.tolist()
        return (excess / self._unit + 1) / (events + 1)


def _peaks(scores: Sequence[float], threshold: float) -> list[float]:
    """Return the highest score of each event of a video."""
    stream = EventStream(threshold)
    ended = [stream.add(Moment(frame, frame), score) for frame, score in enumerate(scores)]
    return [event.score for event in (*ended, stream.finish()) if event]


def _add_missing_buffers(
    module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Load checkpoints of versions without alarms as not calibrated."""
    for name, buffer in module.named_buffers():
        state.setdefault(prefix + name, torch.full_like(buffer, torch.nan))
