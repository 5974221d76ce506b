"""Segments of videos, and the stretches of windows that they are cut into.

A window is ``length`` successive frames of one video, named by its first frame.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from memguard.data.clips.spread import spread

# The windows of 16 stretches are mixed: with 32 windows each, 512 windows from many places. With
# the stretches decoded ahead these are 1200 frames (76 MB grey, 226 MB RGB at 256×256).
STRETCH_WINDOWS = 32
BLOCK_STRETCHES = 16


class Frames(Protocol):
    """A video, decoded or cached."""

    def __len__(self) -> int:
        """Return the number of frames."""
        ...

    def frames(self, indices: range) -> Tensor:
        """Return frames by number, uint8 (N, C, H, W)."""
        ...


@dataclass(frozen=True)
class Segment:
    """A part of a video, the source of windows.

    Attributes:
        video: The frames of the whole video.
        number: The number of the video in its split.
        span: The frames that windows may use.
        labels: (frames of the whole video,), or None.

    Example:
        >>> Segment(video=[], number=0, span=range(10, 20)).windows(length=5)
        range(10, 16)
    """

    video: Frames
    number: int
    span: range
    labels: np.ndarray | None = None

    def windows(self, length: int) -> range:
        """Return the first frame of each window of this length."""
        return range(self.span.start, max(self.span.start, self.span.stop - length + 1))


Stretch = tuple[Segment, range]
"""Successive windows of a segment, by their first frames."""


def cut(segments: Sequence[Segment], length: int, count: int) -> list[Stretch]:
    """Cut the windows of each segment into stretches of ``count``; the last may be shorter."""
    return [
        (segment, windows[start : start + count])
        for segment in segments
        for windows in [segment.windows(length)]
        for start in range(0, len(windows), count)
    ]


def sampled(
    segments: Sequence[Segment], length: int, count: int, *, size: int, rng: np.random.Generator
) -> list[Stretch]:
    """Sample windows, spread evenly over all segments end to end.

    Args:
        segments: The sources of windows.
        length: Frames of a window.
        count: The size of the sample, at most the number of windows.
        size: Successive windows of a stretch, at most; a small sample has shorter ones, so that
            there are enough places to mix.
        rng: The source of randomness.

    Returns:
        The stretches, each out of another part of the segments.
    """
    wholes = [(segment, segment.windows(length)) for segment in segments]
    total = sum(len(starts) for _, starts in wholes)
    runs = max(-(-count // size), min(count, BLOCK_STRETCHES))
    return list(within(wholes, spread(count, total, runs, rng)))


def within(stretches: Iterable[Stretch], spans: Iterable[range]) -> Iterator[Stretch]:
    """Yield the parts of stretches that spans of their windows cover.

    Args:
        stretches: Their windows are numbered end to end.
        spans: Disjoint numbers of windows, in order.

    Example:
        >>> first, second = (Segment([], number, range(9)) for number in range(2))
        >>> parts = within([(first, range(4)), (second, range(3, 9))], [range(1), range(2, 6)])
        >>> [(segment.number, starts) for segment, starts in parts]
        [(0, range(0, 1)), (0, range(2, 4)), (1, range(3, 5))]
    """
    waiting = deque(spans)
    begin = 0
    for segment, starts in stretches:
        end = begin + len(starts)
        while waiting and waiting[0].start < end:
            span = waiting[0]
            if part := starts[max(span.start - begin, 0) : max(span.stop - begin, 0)]:
                yield segment, part
            if span.stop > end:
                break
            waiting.popleft()
        begin = end
