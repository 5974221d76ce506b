"""The alarm: a scale for patch errors, and the score that raises an alarm.

Both are learned from normal video: from what a training holds out, or by a calibration. Neither
needs the end of the watched video, and the scores of different videos by one model are comparable.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from memguard.detection.alarm_scale import AlarmScale
from memguard.detection.events import BRIDGED_FRAMES
from memguard.detection.tail import QUANTILES as THRESHOLDS
from memguard.detection.tail import RESAMPLINGS, UNREACHED, fit_tail

QUANTILES = 101
EARLIER_THRESHOLD = 0.9


class Alarm(nn.Module, AlarmScale):
    """Learn the scale of patch errors from normal video; see :class:`AlarmScale`.

    A checkpoint of a version without alarms loads as not calibrated. One of a version without
    intervals keeps its level.

    The values are buffers, because checkpoints store them: NaN before :meth:`calibrate`.

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
