"""Clip windows over videos: a shuffled stream to train on, an ordered one to test on.

A window is ``length`` successive frames of one video; its last frame is the one that is
reconstructed or predicted, and scored.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, get_worker_info

UNLABELLED = -1

# Windows of 16 stretches of 32 are mixed at a time: half a thousand windows from many places, held
# in some 600 decoded frames (38 MB grey, 113 MB RGB at 256×256).
STRETCH_WINDOWS = 32
BLOCK_STRETCHES = 16


class Frames(Protocol):
    """What windows need of a video, be it decoded or kept."""

    def __len__(self) -> int:
        """Return the number of frames."""
        ...

    def frames(self, indices: range) -> Tensor:
        """Return frames by number: uint8 (N, C, H, W)."""
        ...


class ClipBatch(NamedTuple):
    """Windows as the detector takes them.

    Attributes:
        frames: uint8 (B, T, C, H, W), T successive frames each.
        video: (B,), the number of each window's video.
        frame: (B,), the 0-based frame number of each window's last frame.
        label: (B,), 1 if that frame is anomalous, 0 if normal, −1 if nobody knows.
    """

    frames: Tensor
    video: Tensor
    frame: Tensor
    label: Tensor


@dataclass(frozen=True)
class Segment:
    """A part of a video that windows are taken from.

    Attributes:
        video: Its frames.
        number: Its number in the dataset's split.
        span: The frames that windows may touch.
        labels: (frames of the whole video,), or None.
    """

    video: Frames
    number: int
    span: range
    labels: np.ndarray | None = None

    def windows(self, length: int) -> range:
        """The first frame of each window of this length."""
        return range(self.span.start, max(self.span.start, self.span.stop - length + 1))


def _batch(segment: Segment, starts: range, length: int) -> ClipBatch:
    """Decode successive windows of a segment, each frame once."""
    frames = segment.video.frames(range(starts.start, starts.stop - 1 + length))
    last = np.arange(starts.start, starts.stop) + length - 1
    label = np.full(len(last), UNLABELLED) if segment.labels is None else segment.labels[last]
    return ClipBatch(
        # unfold puts the window's frames last: (B, C, H, W, T)
        frames=frames.unfold(0, length, 1).movedim(-1, 1),
        video=torch.full((len(last),), segment.number),
        frame=torch.from_numpy(last),
        label=torch.from_numpy(label.astype(np.int64)),
    )


def _collate(windows: Sequence[ClipBatch]) -> ClipBatch:
    return ClipBatch(*(torch.stack(column) for column in zip(*windows, strict=True)))


class OrderedWindows(Dataset[ClipBatch]):
    """All windows in order, segment by segment, in batches that never cross a segment's end.

    An item is a whole batch: use it with ``DataLoader(batch_size=None)``, whose workers keep the
    order.

    Args:
        segments: Where windows come from.
        length: Frames T per window.
        batch_size: Windows per batch at most.
    """

    def __init__(self, segments: Sequence[Segment], *, length: int, batch_size: int) -> None:
        self.length = length
        self.batches = [
            (segment, windows[start : start + batch_size])
            for segment in segments
            for windows in [segment.windows(length)]
            for start in range(0, len(windows), batch_size)
        ]

    def __len__(self) -> int:
        """Count the batches."""
        return len(self.batches)

    def __getitem__(self, index: int) -> ClipBatch:
        """Decode one batch."""
        return _batch(*self.batches[index], self.length)


class ShuffledWindows(IterableDataset[ClipBatch]):
    """Every window once, in an order that depends on seed and epoch alone, in batches.

    Videos are cut into stretches of successive windows; the stretches are shuffled, dealt out to
    the loader's workers and the processes, and decoded once each; a worker mixes the windows of
    sixteen stretches at a time. Use it with ``DataLoader(batch_size=None)``.

    Args:
        segments: Where windows come from.
        length: Frames T per window.
        batch_size: Windows per batch; the last one of each worker may be smaller.
        seed: Of the order.
        epoch: Of the order.
        workers: Worker processes of the loader, 0 for none.
        rank: Number of this process among ``world_size``.
        world_size: Processes that train together.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        *,
        length: int,
        batch_size: int,
        seed: int,
        epoch: int,
        workers: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.shards_per_rank = max(workers, 1)
        self.rank = rank
        self.shards = self.shards_per_rank * world_size
        self.stretches = [
            (segment, windows[start : start + STRETCH_WINDOWS])
            for segment in segments
            for windows in [segment.windows(length)]
            for start in range(0, len(windows), STRETCH_WINDOWS)
        ]
        self.window_count = sum(len(starts) for _, starts in self.stretches)

    def _shard_bounds(self, shard: int) -> tuple[int, int]:
        """Which windows of the shuffled stretches, laid end to end, a shard takes."""
        total = self.window_count
        return total * shard // self.shards, total * (shard + 1) // self.shards

    def __len__(self) -> int:
        """Count the batches of this process, over all its workers."""
        first = self.rank * self.shards_per_rank
        bounds = (self._shard_bounds(first + worker) for worker in range(self.shards_per_rank))
        return sum(-(-(stop - start) // self.batch_size) for start, stop in bounds)

    def _stretches_of(
        self, shard: int, rng: np.random.Generator
    ) -> Iterator[tuple[Segment, range]]:
        """Deal a shard its stretches, the first and the last cut to its bounds."""
        low, high = self._shard_bounds(shard)
        position = 0
        for index in rng.permutation(len(self.stretches)):
            segment, starts = self.stretches[index]
            mine = starts[max(low - position, 0) : max(high - position, 0)]
            if mine:
                yield segment, mine
            position += len(starts)

    def _windows(self) -> Iterator[ClipBatch]:
        """Single windows of this worker, mixed within blocks of stretches."""
        worker = get_worker_info()
        shard = self.rank * self.shards_per_rank + (worker.id if worker else 0)
        stretches = self._stretches_of(shard, np.random.default_rng([self.seed, self.epoch]))
        rng = np.random.default_rng([self.seed, self.epoch, shard])
        while block := list(islice(stretches, BLOCK_STRETCHES)):
            decoded = [_batch(segment, starts, self.length) for segment, starts in block]
            places = [(b, w) for b, batch in enumerate(decoded) for w in range(len(batch.frame))]
            for place in rng.permutation(len(places)):
                stretch, window = places[place]
                yield ClipBatch(*(column[window] for column in decoded[stretch]))

    def __iter__(self) -> Iterator[ClipBatch]:
        """Yield this worker's batches."""
        windows = self._windows()
        while batch := list(islice(windows, self.batch_size)):
            yield _collate(batch)
