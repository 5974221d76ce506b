"""Clip windows of videos: in shuffled order for training, in order for tests.

A window is ``length`` successive frames of one video. Its last frame is reconstructed or predicted,
and scored.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from memguard.data.clips.segments import (
    BLOCK_STRETCHES,
    STRETCH_WINDOWS,
    Segment,
    Stretch,
    cut,
    sampled,
    within,
)

UNLABELLED = -1


class ClipBatch(NamedTuple):
    """A batch of windows, the input of the detector.

    Attributes:
        frames: uint8 (B, T, C, H, W), T successive frames each.
        video: (B,), the number of each window's video.
        frame: (B,), the 0-based frame number of each window's last frame.
        label: (B,), 1 if that frame is anomalous, 0 if normal, −1 if unlabelled.
    """

    frames: Tensor
    video: Tensor
    frame: Tensor
    label: Tensor


class OrderedWindows(IterableDataset[ClipBatch]):
    """Yield all windows of each segment in order.

    Segments follow one another, or several are side by side: then a batch holds successive windows
    of each of them, and the next segment replaces one that ends.

    Processes that share the windows have equally many batches, because they wait for one another at
    each; the last batch is repeated if the number does not divide.

    Args:
        segments: The sources of windows.
        length: Frames T per window.
        batch_size: The most windows per batch; a batch has at least one window of each segment.
        threads: Threads that decode ahead; 0 decodes each batch when it is requested.
        abreast: Number of segments side by side.
        rank: Number of this process among ``world_size``.
        world_size: Number of processes that share the windows.
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
        # Segments side by side are decoded in longer stretches than a batch has. Shorter ones would
        # decode most frames for several windows.
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
    """Yield every window once, or a sample, in an order that depends on seed and epoch alone.

    A sample has one stretch of each of many equal parts of the videos, in each epoch another one.

    Videos are cut into stretches of successive windows. The stretches are shuffled, distributed to
    the processes, and decoded once each; the windows of sixteen stretches are mixed. Threads decode
    the next sixteen meanwhile: worker processes would have to copy frames, which takes longer than
    to decode them.

    Processes have equally many windows: their batches have one size, and the mean of their
    gradients is that of all windows. Each epoch leaves out other windows, fewer than there are
    processes.

    Successive batches come from sixteen places. The running statistics of batch norm cover the last
    twenty batches and depend on these places (``experiments/README.md``, batch norm);
    :mod:`memguard.training.callbacks.batch_norm` measures them again at the end. With stretches of
    one window, the order of windows is fully random.

    Args:
        segments: The sources of windows.
        length: Frames T per window.
        batch_size: Windows per batch; the last one may be smaller.
        seed: Seed of the order.
        epoch: The epoch, which changes the order.
        threads: Threads that decode ahead; 0 decodes each stretch when it is requested.
        stretch: Successive windows per stretch; each stretch decodes its frames again.
        sample: The number of windows to sample; None, or more than there are, for all.
        done: Batches to skip at the start, for a training resumed within an epoch; ``len`` includes
            them.
        rank: Number of this process among ``world_size``.
        world_size: Number of processes of the training.
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
        sample: int | None = None,
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
        windows = sum(len(segment.windows(length)) for segment in segments)
        taken = windows if sample is None else min(sample, windows)
        rng = np.random.default_rng([seed, epoch])
        stretches = (
            cut(segments, length, stretch)
            if taken == windows
            else sampled(segments, length, taken, size=stretch, rng=rng)
        )
        self.stretches = [stretches[index] for index in rng.permutation(len(stretches))]
        share = taken // world_size
        self.share = range(share * rank, share * (rank + 1))

    def __len__(self) -> int:
        """Count the batches of this process."""
        return -(-len(self.share) // self.batch_size)

    def _blocks(self) -> Iterator[tuple[list[Stretch], list[int]]]:
        """Yield blocks of stretches to mix, and the order of their windows."""
        stretches = within(self.stretches, [self.share])
        rng = np.random.default_rng([self.seed, self.epoch, self.rank])
        done = self.done * self.batch_size
        while block := list(islice(stretches, BLOCK_STRETCHES)):
            places = rng.permutation(sum(len(starts) for _, starts in block)).tolist()
            if done < len(places):  # finished blocks are not decoded
                yield block, places[done:]
            done = max(done - len(places), 0)

    def _windows(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the windows of this process, mixed within blocks of stretches."""
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
    """Decode a few windows, spread evenly over all windows; the same at each call.

    Args:
        segments: The sources of windows.
        length: Frames T per window.
        count: The most windows.
        speed: Take every ``speed``-th frame, to play the video at this speed.

    Returns:
        The windows in order; None if none fits.
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


def _side_by_side(
    segments: Sequence[Segment], length: int, count: int, abreast: int
) -> Iterator[list[Stretch]]:
    """Yield the next stretches of ``abreast`` segments, each segment in order."""
    # The longest first: a long segment at the end would be alone.
    longest_first = (
        sorted(segments, key=lambda s: -len(s.windows(length))) if abreast > 1 else segments
    )
    waiting = deque(deque(cut([segment], length, count)) for segment in longest_first)
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
    """Decode stretches in order; threads decode ``ahead`` stretches before they are requested."""
    if threads == 0:
        yield from (_batch(*stretch, length) for stretch in stretches)
        return
    # Each decoding thread computes with one thread. A thread that computes for the first time takes
    # over the last setting of any thread, and this thread must read its own before.
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
