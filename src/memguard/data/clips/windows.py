"""Clip windows over videos: a shuffled stream to train on, an ordered one to test on.

A window is ``length`` successive frames of one video; its last frame is the one that is
reconstructed or predicted, and scored.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

UNLABELLED = -1

# Windows of 16 stretches are mixed at a time. Of 32 windows each they are half a thousand from many
# places, and with those decoded ahead some 1200 frames (76 MB grey, 226 MB RGB at 256×256).
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


Stretch = tuple[Segment, range]
"""Successive windows of a segment, by their first frames."""


class OrderedWindows(IterableDataset[ClipBatch]):
    """All windows of each segment in order.

    One segment follows on another, or several come side by side: then a batch holds successive
    windows of each of them, and a segment that ends makes room for the next.

    Processes that share them get equally many batches, as each waits for the others at every one:
    the last batch is dealt out again where they do not divide.

    Args:
        segments: Where windows come from.
        length: Frames T per window.
        batch_size: Windows per batch at most; one of each segment at least.
        threads: Threads that decode ahead; 0 decodes when a batch is asked for.
        abreast: How many segments come side by side.
        rank: Number of this process among ``world_size``.
        world_size: Processes that share the windows.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        *,
        length: int,
        batch_size: int,
        threads: int,
        abreast: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.length = length
        self.threads = threads
        self.each = max(batch_size // abreast, 1)
        # What is side by side is decoded in longer stretches than it is handed out in, or most
        # frames would be decoded for several windows.
        groups = list(_side_by_side(segments, length, batch_size, abreast))
        share = -(-len(groups) // world_size)
        mine = range(share * rank, share * (rank + 1))
        self.groups = [groups[min(place, len(groups) - 1)] for place in mine]

    def __len__(self) -> int:
        """Count the batches."""
        longest = [max(len(starts) for _, starts in group) for group in self.groups]
        return sum(-(-windows // self.each) for windows in longest)

    def __iter__(self) -> Iterator[ClipBatch]:
        """Yield the batches."""
        stretches = [stretch for group in self.groups for stretch in group]
        decoded = _decoded(stretches, self.length, self.threads, ahead=2 * self.threads)
        for group in self.groups:
            batches = list(islice(decoded, len(group)))
            longest = max(len(batch.video) for batch in batches)
            for start in range(0, longest, self.each):
                yield _joined([_rows(batch, start, start + self.each) for batch in batches])


class ShuffledWindows(IterableDataset[ClipBatch]):
    """Every window once, in an order that depends on seed and epoch alone, in batches.

    Videos are cut into stretches of successive windows; the stretches are shuffled, dealt out to
    the processes, and decoded once each; the windows of sixteen stretches at a time are mixed.
    Processes get equally many windows, so that their batches are of one size and the mean of their
    gradients is that of all windows. What is left over, fewer windows than processes, is left out
    in this epoch; it is others in the next.
    Threads decode the next sixteen meanwhile: unlike worker processes they need not copy frames
    from one process to another, which takes longer than to decode them.

    So successive batches are of sixteen places, and batch norm, whose running statistics are those
    of the last twenty, takes these for the whole set (``experiments/README.md``, batch norm).
    :mod:`memguard.training.callbacks.batch_norm` measures them again at the end; and with stretches
    of one window, any window may follow on any other.

    Args:
        segments: Where windows come from.
        length: Frames T per window.
        batch_size: Windows per batch; the last one may be smaller.
        seed: Of the order.
        epoch: Of the order.
        threads: Threads that decode ahead; 0 decodes when a stretch is asked for.
        stretch: Successive windows per stretch; each stretch decodes its frames anew.
        done: Batches to leave out at the start, which a training that goes on in the middle of an
            epoch has seen. ``len`` counts them all the same.
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
        threads: int,
        stretch: int = STRETCH_WINDOWS,
        done: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.length = length
        self.batch_size = batch_size
        self.done = done
        self.seed = seed
        self.epoch = epoch
        self.threads = threads
        self.rank = rank
        self.stretches = _cut(segments, length, stretch)
        share = sum(len(starts) for _, starts in self.stretches) // world_size
        self.share = range(share * rank, share * (rank + 1))

    def __len__(self) -> int:
        """Count the batches of this process."""
        return -(-len(self.share) // self.batch_size)

    def _dealt(self, rng: np.random.Generator) -> Iterator[Stretch]:
        """Deal this process its stretches, the first and the last cut to its share."""
        position = 0
        for index in rng.permutation(len(self.stretches)):
            segment, starts = self.stretches[index]
            low, high = self.share.start - position, self.share.stop - position
            if mine := starts[max(low, 0) : max(high, 0)]:
                yield segment, mine
            position += len(starts)

    def _blocks(self) -> Iterator[tuple[list[Stretch], list[int]]]:
        """Stretches that are mixed with one another, and in which order their windows come."""
        stretches = self._dealt(np.random.default_rng([self.seed, self.epoch]))
        rng = np.random.default_rng([self.seed, self.epoch, self.rank])
        done = self.done * self.batch_size
        while block := list(islice(stretches, BLOCK_STRETCHES)):
            places = rng.permutation(sum(len(starts) for _, starts in block)).tolist()
            if done < len(places):  # what is done is not even decoded
                yield block, places[done:]
            done = max(done - len(places), 0)

    def _windows(self) -> Iterator[tuple[Tensor, ...]]:
        """Single windows of this process, mixed within blocks of stretches."""
        blocks = list(self._blocks())
        stretches = (stretch for block, _ in blocks for stretch in block)
        decoded = _decoded(stretches, self.length, self.threads, ahead=BLOCK_STRETCHES)
        for block, places in blocks:
            batches = islice(decoded, len(block))
            windows = [window for batch in batches for window in zip(*batch, strict=True)]
            for place in places:
                yield windows[place]

    def __iter__(self) -> Iterator[ClipBatch]:
        """Yield this process's batches."""
        windows = self._windows()
        while batch := list(islice(windows, self.batch_size)):
            yield ClipBatch(*map(torch.stack, zip(*batch, strict=True)))


def sample_windows(
    segments: Sequence[Segment], *, length: int, count: int, speed: int = 1
) -> ClipBatch | None:
    """Decode a few windows, spread evenly over all that there are: the same ones at each call.

    Args:
        segments: Where windows come from.
        length: Frames T per window.
        count: Windows at most.
        speed: Every so many-th frame is taken, as if the video were played so many times as fast.

    Returns:
        The windows in order; None where none fits.
    """
    reach = (length - 1) * speed + 1
    places = [(segment, start) for segment in segments for start in segment.windows(reach)]
    if not places:
        return None
    chosen = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    batches = []
    for segment, start in (places[place] for place in chosen):
        whole = _batch(segment, range(start, start + 1), reach)
        batches.append(whole._replace(frames=whole.frames[:, ::speed]))
    return _joined(batches)


def _cut(segments: Sequence[Segment], length: int, count: int) -> list[Stretch]:
    """Part the windows of each segment into stretches of so many, the last of each shorter."""
    return [
        (segment, windows[start : start + count])
        for segment in segments
        for windows in [segment.windows(length)]
        for start in range(0, len(windows), count)
    ]


def _side_by_side(
    segments: Sequence[Segment], length: int, count: int, abreast: int
) -> Iterator[list[Stretch]]:
    """Take the next stretch of so many segments at a time, of each all in order."""
    # The longest first, as nothing can go beside what is left at the end.
    longest_first = (
        sorted(segments, key=lambda s: -len(s.windows(length))) if abreast > 1 else segments
    )
    waiting = deque(deque(_cut([segment], length, count)) for segment in longest_first)
    taken: list[deque[Stretch]] = []
    while True:
        taken = [stretches for stretches in taken if stretches]
        while waiting and len(taken) < abreast:
            taken += [stretches] if (stretches := waiting.popleft()) else []
        if not taken:
            return
        yield [stretches.popleft() for stretches in taken]


def _rows(batch: ClipBatch, start: int, stop: int) -> ClipBatch:
    return ClipBatch(*(values[start:stop] for values in batch))


def _joined(batches: Sequence[ClipBatch]) -> ClipBatch:
    if len(batches) == 1:
        return batches[0]  # without a copy
    return ClipBatch(*map(torch.cat, zip(*batches, strict=True)))


def _decoded(
    stretches: Iterable[Stretch], length: int, threads: int, ahead: int
) -> Iterator[ClipBatch]:
    """Decode stretches in order, and with threads so many ahead of what is asked for."""
    if threads == 0:
        yield from (_batch(*stretch, length) for stretch in stretches)
        return
    # The decoding threads are the parallelism; each of them would start more for every frame. But a
    # thread that first computes takes over what any other has set last: this one asks before that.
    torch.get_num_threads()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        pending: deque[Future[ClipBatch]] = deque()
        for stretch in stretches:
            pending.append(pool.submit(_batch, *stretch, length))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


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
