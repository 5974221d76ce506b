"""The patch errors of normal video, smoothed over the past, from which an alarm learns."""

from collections import deque
from collections.abc import Mapping, Sequence
from itertools import pairwise, takewhile

import torch
from torch import Tensor

from memguard.distributed import gathered_everywhere
from memguard.scoring import StreamSmoother, smooth_over_time, worst_patch
from memguard.scoring.smoothing import smoothing_reach

Place = tuple[int, int]
"""The numbers of a video and of a frame in it."""


class NormalPatches:
    """Smooth the patch errors of normal frames over the past, in bounded memory.

    Several processes may share a stretch of successive frames. Each therefore keeps the errors of
    its first and its last frames, and the first ones are smoothed with those before them at the
    end.

    Args:
        smoothing: Standard deviation of the smoothing over time, frames.

    Example:
        >>> patches = NormalPatches(smoothing=0.0)
        >>> errors = torch.tensor([0.1, 0.3, 0.2]).view(3, 1, 1, 1)
        >>> patches.add(torch.tensor([0, 0, 0]), torch.tensor([4, 5, 9]), errors)
        >>> patches.stretches()
        [tensor([0.1000, 0.3000]), tensor([0.2000])]
    """

    def __init__(self, smoothing: float) -> None:
        self._sigma, self._reach = smoothing, smoothing_reach(smoothing)
        self._worst: dict[Place, float] = {}
        self._first: dict[Place, Tensor] = {}
        self._last: deque[tuple[Place, Tensor]] = deque(maxlen=self._reach)
        self._smoother = StreamSmoother(smoothing, causal=True)
        self._is_first = True  # the first stretch, which may continue another process's
        self._before: Place | None = None

    def add(self, video: Tensor, frame: Tensor, errors: Tensor) -> None:
        """Add frames of a process, in order.

        Args:
            video: (N,), the number of each frame's video.
            frame: (N,), the number of each frame.
            errors: (N, S, rows, columns), from :func:`~memguard.scoring.patch_errors`.
        """
        places = list(zip(video.tolist(), frame.tolist(), strict=True))
        errors = errors.float().cpu()
        bounds = [0, *_ends(places), len(places)]
        for start, stop in pairwise(bounds):
            self._add_successive(places[start:stop], errors[start:stop])

    def _add_successive(self, places: Sequence[Place], errors: Tensor) -> None:
        if self._before is not None and not _follows(self._before, places[0]):
            self._smoother = StreamSmoother(self._sigma, causal=True)
            self._is_first = False
            self._last.clear()
        self._before = places[-1]
        worst = worst_patch(self._smoother(errors)).tolist()
        for place, value, own in zip(places, worst, errors, strict=True):
            self._worst.setdefault(place, value)  # the last batch may be repeated
            self._last.append((place, own))
            if self._is_first and len(self._first) < self._reach:
                self._first[place] = own

    def stretches(self) -> list[Tensor]:
        """Join the frames of all processes.

        Returns:
            For each stretch of successive frames, (frames,), the smoothed error of the worst
            patches, in order.
        """
        parts = gathered_everywhere((self._worst, self._first, dict(self._last)))
        worst: dict[Place, float] = {}
        first: dict[Place, Tensor] = {}
        known: dict[Place, Tensor] = {}
        for of_process, begun, ended in reversed(parts):  # of a repeated frame the first counts
            worst |= of_process
            first |= begun
            known |= ended | begun
        for place in first:
            worst[place] = self._smoothed_last(_past(place, self._reach, known))
        places = sorted(worst)
        values = torch.tensor([worst[place] for place in places])
        return list(values.tensor_split(_ends(places)))

    def _smoothed_last(self, errors: Tensor) -> float:
        return float(worst_patch(smooth_over_time(errors, self._sigma, causal=True)[-1:]))


def _past(place: Place, reach: int, known: Mapping[Place, Tensor]) -> Tensor:
    """Return the errors of a frame and of the known ones right before it, in order."""
    video, frame = place
    numbers = range(frame, frame - reach - 1, -1)
    successive = list(takewhile(lambda number: (video, number) in known, numbers))
    return torch.stack([known[video, number] for number in reversed(successive)])


def _follows(before: Place, place: Place) -> bool:
    return place == (before[0], before[1] + 1)


def _ends(places: Sequence[Place]) -> list[int]:
    """Return the numbers of the places that do not follow the one before."""
    pairs = enumerate(pairwise(places), start=1)
    return [number for number, (before, place) in pairs if not _follows(before, place)]
