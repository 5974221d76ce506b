"""The alarm: what a patch error means, and from where on it is worth somebody's attention.

Both are learned from held-out normal video, so that neither needs the end of the video that is
watched, and scores of different videos by one model compare.
"""

from collections.abc import Sequence
from math import exp, log

import torch
from torch import Tensor, nn

from memguard.detection.events import EventStream, Moment

QUANTILES = 101
TYPICAL, HIGH = 0.5, 0.99  # quantiles that the score is 0 and 1 at
TAIL = 0.9  # the quantile that peaks are counted over
SMALLEST_UNIT = 1e-8  # as a patch error, below what 8-bit video can hold


class Alarm(nn.Module):
    """Knows how badly normal video is painted at its worst patch, and how often worse.

    **Score.** 0 is the median held-out normal frame, 1 is what one of a hundred exceeds; between
    and beyond, the score goes on in proportion to the squared error.

    **Level.** One false alarm an hour is far rarer than the minutes of held-out video can show, so
    their tail is extrapolated (peaks over threshold). Frames above the 90th percentile are joined
    to events as alarms are, and how far an event's peak goes beyond is taken to be exponential:
    normal video exceeds the threshold by x at r·exp(−x/β) events per frame, where r is the events
    per held-out frame. β is the mean excess of these events and of one more, whose excess is the
    score's unit: with few events the level is on the careful side, with many it changes nothing.

    A checkpoint made before there were alarms loads as one that is not calibrated.

    Attributes:
        normal_scores: (101,), the percentiles of the patch error over held-out normal frames, NaN
            before :meth:`calibrate`. A buffer, so that a checkpoint carries it.
        tail: (3,), events above the 90th percentile, held-out frames, and the sum of the events'
            excess as patch errors.
    """

    normal_scores: Tensor
    tail: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("normal_scores", torch.full((QUANTILES,), torch.nan))
        self.register_buffer("tail", torch.full((3,), torch.nan))
        self.register_load_state_dict_pre_hook(_take_as_not_calibrated)

    @torch.no_grad()
    def calibrate(self, videos: Sequence[Tensor]) -> None:
        """Learn which patch errors are normal.

        Args:
            videos: Of each held-out normal video, (frames,), the error of the worst patch, smoothed
                over the past, in order.
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
        """Whether it knows what is normal."""
        return not bool(self.normal_scores.isnan().any())

    @property
    def rests_on(self) -> tuple[int, int]:
        """How many held-out frames the level rests on, and how many events among them."""
        events, frames, _ = self.tail.tolist()
        return int(frames), int(events)

    def score(self, error: Tensor) -> Tensor:
        """Turn patch errors into scores."""
        return (error - self._typical) / self._unit

    def error(self, score: float) -> float:
        """Turn a score back into the patch error."""
        return self._typical + score * self._unit

    def level(self, per_hour: float, fps: float) -> float:
        """Find the score that normal video exceeds so many times an hour.

        Args:
            per_hour: Expected events of normal video in an hour, above 0.
            fps: Frames per second of the video.
        """
        events, frames, _ = self.tail.tolist()
        often = max(events, 1) / frames * 3600 * fps
        return self._threshold + self._mean_excess * max(log(often / per_hour), 0)

    def per_hour(self, score: float, fps: float) -> float:
        """Tell how many times an hour normal video exceeds a score, as :meth:`level` counts.

        Args:
            score: At least as high as the 90th percentile of normal frames.
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
    """The highest score of each event of a video."""
    stream = EventStream(threshold)
    ended = [stream.add(Moment(frame, frame), score) for frame, score in enumerate(scores)]
    return [event.score for event in (*ended, stream.finish()) if event]


def _take_as_not_calibrated(
    module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Let checkpoints load that were made before there were alarms."""
    for name, buffer in module.named_buffers():
        state.setdefault(prefix + name, torch.full_like(buffer, torch.nan))
