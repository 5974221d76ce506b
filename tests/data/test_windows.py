"""The two orders of windows: each window once, decoded once, in the order that was asked for."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, pairwise

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from memguard.data.windows import ClipBatch, OrderedWindows, Segment, ShuffledWindows


class CountingVideo:
    """Stands in for a video: frame n is filled with n, and it counts what is decoded."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.decoded: list[int] = []

    def __len__(self) -> int:
        return self.length

    def frames(self, indices: range) -> torch.Tensor:
        self.decoded += indices
        values = torch.tensor(list(indices), dtype=torch.uint8)
        return values.view(-1, 1, 1, 1).expand(-1, 1, 2, 3)


def segments(*lengths: int) -> list[Segment]:
    return [
        Segment(CountingVideo(length), number, range(length))
        for number, length in enumerate(lengths)
    ]


def places(batches: Iterator[ClipBatch] | DataLoader[ClipBatch]) -> list[tuple[int, int]]:
    return [
        (int(v), int(f)) for batch in batches for v, f in zip(batch.video, batch.frame, strict=True)
    ]


def every_window(length: int, *lengths: int) -> list[tuple[int, int]]:
    return [(v, f) for v, frames in enumerate(lengths) for f in range(length - 1, frames)]


def stream(parts: list[Segment], **settings: int) -> ShuffledWindows:
    defaults = {"length": 5, "batch_size": 4, "seed": 0, "epoch": 0, "workers": 0}
    return ShuffledWindows(parts, **(defaults | settings))


def test_ordered_windows_come_in_order_and_never_cross_a_video() -> None:
    windows = OrderedWindows(segments(7, 12), length=5, batch_size=4)
    batches = [windows[i] for i in range(len(windows))]
    assert places(iter(batches)) == every_window(5, 7, 12)
    assert all(len(set(batch.video.tolist())) == 1 for batch in batches)


def test_a_window_holds_its_frames_in_order_and_its_label_is_the_last_frames() -> None:
    video = CountingVideo(9)
    labels = np.array([0, 0, 0, 0, 0, 1, 0, 0, 1], np.uint8)
    part = Segment(video, 0, range(9), labels)  # type: ignore[arg-type]
    batch = OrderedWindows([part], length=5, batch_size=8)[0]
    assert batch.frames.shape == (5, 5, 1, 2, 3)
    assert batch.frames[2, :, 0, 0, 0].tolist() == [2, 3, 4, 5, 6]
    assert batch.frame.tolist() == [4, 5, 6, 7, 8]
    assert batch.label.tolist() == [0, 1, 0, 0, 1]


def test_unlabelled_windows_say_so() -> None:
    batch = OrderedWindows(segments(6), length=1, batch_size=3)[1]
    assert batch.label.tolist() == [-1, -1, -1]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_window_once_per_epoch_whatever_the_workers(workers: int) -> None:
    lengths = (5, 41, 130, 17)
    windows = stream(segments(*lengths), workers=workers)
    loader = DataLoader(windows, batch_size=None, num_workers=workers)
    batches = list(loader)
    assert sorted(places(iter(batches))) == every_window(5, *lengths)
    assert len(batches) == len(windows)


@pytest.mark.parametrize("world_size", [2, 3])
def test_processes_share_the_windows_without_overlap_or_loss(world_size: int) -> None:
    lengths = (41, 130, 17)
    dealt = [
        places(iter(stream(segments(*lengths), rank=rank, world_size=world_size)))
        for rank in range(world_size)
    ]
    assert sorted(chain.from_iterable(dealt)) == every_window(5, *lengths)
    assert max(map(len, dealt)) - min(map(len, dealt)) <= 1


def test_the_order_follows_seed_and_epoch_alone() -> None:
    def order(**settings: int) -> list[tuple[int, int]]:
        return places(iter(stream(segments(60, 60), **settings)))

    assert order() == order()
    assert order() != order(epoch=1)
    assert order() != order(seed=1)


def test_windows_are_well_mixed() -> None:
    """Neighbours in the stream are not neighbours in a video."""
    order = places(iter(stream(segments(*[120] * 8), batch_size=8)))
    steps = [abs(a[1] - b[1]) if a[0] == b[0] else 999 for a, b in pairwise(order)]
    assert np.mean(np.array(steps) <= 2) < 0.05
    videos = Counter(video for video, _ in order[:64])
    assert len(videos) >= 5


def test_each_stretch_is_decoded_once() -> None:
    parts = segments(132, 68)
    list(stream(parts))
    decoded = sum(len(part.video.decoded) for part in parts)  # type: ignore[attr-defined]
    # 4 + 2 stretches of 32 windows, each with the four frames before its first target
    assert decoded == 6 * 36
