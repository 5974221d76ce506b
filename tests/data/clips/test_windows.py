"""The two orders of windows: each window once, decoded once, in the requested order."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memguard.data.clips.segments import Segment
from memguard.data.clips.windows import ClipBatch, OrderedWindows, ShuffledWindows, sample_windows
from memguard.errors import DataError


class CountingVideo:
    """A video whose frame n has the value n; it counts the decoded frames."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.decoded: list[int] = []

    def __len__(self) -> int:
        return self.length

    def frames(self, indices: range) -> torch.Tensor:
        self.decoded += indices
        values = torch.tensor(list(indices)).remainder(256).to(torch.uint8)
        return values.view(-1, 1, 1, 1).expand(-1, 1, 2, 3)


def segments(*lengths: int) -> list[Segment]:
    return [
        Segment(CountingVideo(length), number, range(length))
        for number, length in enumerate(lengths)
    ]


def places(batches: Iterator[ClipBatch]) -> list[tuple[int, int]]:
    return [
        (int(v), int(f)) for batch in batches for v, f in zip(batch.video, batch.frame, strict=True)
    ]


def every_window(length: int, *lengths: int) -> list[tuple[int, int]]:
    return [(v, f) for v, frames in enumerate(lengths) for f in range(length - 1, frames)]


def stream(parts: list[Segment], **settings: int) -> ShuffledWindows:
    defaults = {"length": 5, "batch_size": 4, "seed": 0, "epoch": 0, "threads": 0}
    return ShuffledWindows(parts, **(defaults | settings))


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_ordered_windows_come_in_order_and_never_cross_a_video(threads: int) -> None:
    windows = OrderedWindows(segments(7, 12), length=5, batch_size=4, threads=threads)
    batches = list(windows)
    assert len(batches) == len(windows)
    assert places(iter(batches)) == every_window(5, 7, 12)
    assert all(len(set(batch.video.tolist())) == 1 for batch in batches)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("abreast", [2, 3, 8])
def test_windows_of_several_videos_come_side_by_side_each_in_order(
    threads: int, abreast: int
) -> None:
    windows = OrderedWindows(
        segments(7, 40, 4, 12, 9), length=5, batch_size=6, threads=threads, abreast=abreast
    )
    batches = list(windows)
    assert len(batches) == len(windows)
    found = places(iter(batches))
    assert sorted(found) == sorted(every_window(5, 7, 40, 4, 12, 9))
    for video in range(5):
        of_video = [place for place in found if place[0] == video]
        assert of_video == sorted(of_video)
    first = batches[0].video.unique()
    assert len(first) == min(abreast, 4)  # the video of four frames has no window
    assert all(len(batch.video) <= max(6, abreast) for batch in batches)


def test_a_window_holds_its_frames_in_order_and_its_label_is_the_last_frames() -> None:
    video = CountingVideo(9)
    labels = np.array([0, 0, 0, 0, 0, 1, 0, 0, 1], np.uint8)
    part = Segment(video, 0, range(9), labels)  # type: ignore[arg-type]
    batch = next(iter(OrderedWindows([part], length=5, batch_size=8, threads=0)))
    assert batch.frames.shape == (5, 5, 1, 2, 3)
    assert batch.frames[2, :, 0, 0, 0].tolist() == [2, 3, 4, 5, 6]
    assert batch.frame.tolist() == [4, 5, 6, 7, 8]
    assert batch.label.tolist() == [0, 1, 0, 0, 1]


def test_unlabelled_windows_say_so() -> None:
    _, batch = OrderedWindows(segments(6), length=1, batch_size=3, threads=0)
    assert batch.label.tolist() == [-1, -1, -1]


def test_every_window_once_per_epoch() -> None:
    lengths = (5, 41, 130, 17)
    windows = stream(segments(*lengths))
    batches = list(windows)
    assert sorted(places(iter(batches))) == every_window(5, *lengths)
    assert len(batches) == len(windows)
    assert [len(batch.frame) for batch in batches[:-1]] == [4] * (len(batches) - 1)


@pytest.mark.parametrize(("stretch", "stretches"), [(32, 16), (1, 125)])
def test_shorter_stretches_mix_windows_of_more_places(stretch: int, stretches: int) -> None:
    windows = places(iter(stream(segments(4004), stretch=stretch)))
    assert sorted(windows) == every_window(5, 4004)
    # Half a thousand windows, of the 125 places of 32 successive ones.
    places_met = {(frame - 4) // 32 for _, frame in windows[:512]}
    assert len(places_met) == pytest.approx(stretches, abs=5)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_change_nothing(threads: int) -> None:
    alone, ahead = (stream(segments(41, 600, 17), threads=n) for n in (0, threads))
    for one, other in zip(alone, ahead, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_stream_that_is_left_decodes_no_further() -> None:
    part = segments(4000)[0]
    batches = iter(stream([part], threads=2))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    decoded = part.video.decoded  # type: ignore[attr-defined]
    time.sleep(0.2)
    assert len(decoded) < 36 * 40  # of some 125 stretches


def test_damage_met_by_a_thread_is_reported() -> None:
    class DamagedVideo(CountingVideo):
        def frames(self, indices: range) -> torch.Tensor:
            raise DataError("damaged.mp4: cut off")

    part = Segment(DamagedVideo(60), 0, range(60))
    with pytest.raises(DataError, match="cut off"):
        list(stream([part], threads=2))


@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_processes_get_as_many_windows_each_and_none_twice(world_size: int) -> None:
    lengths = (41, 130, 17)
    everything = every_window(5, *lengths)
    left_out = []
    for epoch in range(2):
        shares = [
            list(stream(segments(*lengths), rank=rank, world_size=world_size, epoch=epoch))
            for rank in range(world_size)
        ]
        for batches in zip(*shares, strict=True):  # as they train: a step takes a batch of each
            assert len({len(batch.frame) for batch in batches}) == 1
        dealt = places(iter(chain.from_iterable(shares)))
        assert len(set(dealt)) == len(dealt) == len(everything) // world_size * world_size
        left_out.append(set(everything) - set(dealt))
    assert len(left_out[0]) == len(everything) % world_size
    assert not left_out[0] or left_out[0] != left_out[1]


@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_processes_share_ordered_windows_in_as_many_batches(world_size: int) -> None:
    shares = [
        OrderedWindows(
            segments(7, 12, 5), length=5, batch_size=2, threads=0, rank=rank, world_size=world_size
        )
        for rank in range(world_size)
    ]
    assert len({len(share) for share in shares}) == 1
    found = [place for share in shares for place in places(iter(share))]
    assert sorted(set(found)) == every_window(5, 7, 12, 5)
    assert len(found) - len(set(found)) < 2 * world_size


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


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize("done", [0, 1, 40, 129, 200])
def test_a_resumed_stream_yields_the_remaining_windows_in_the_same_order(
    threads: int, done: int
) -> None:
    def places_of(**settings: int) -> list[list[tuple[int, int]]]:
        windows = stream(segments(400, 300, 120), threads=threads, epoch=3, **settings)
        assert len(windows) == 202
        return [places(iter([batch])) for batch in windows]

    assert places_of(done=done) == places_of()[done:]


def test_who_takes_windows_from_threads_computes_with_as_many_as_before() -> None:
    # In a process of its own, as a thread that has computed keeps its number.
    code = (
        "import torch; from memguard.data.clips.windows import OrderedWindows;"
        "from tests.data.clips.test_windows import segments;"
        "list(OrderedWindows(segments(7), length=5, batch_size=4, threads=1));"
        "print(torch.get_num_threads())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "2"},
        cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.split() == ["2"]


def test_seed_and_epoch_each_decide_on_the_places_and_on_how_they_are_mixed() -> None:
    def order(frames: int, **settings: int) -> list[tuple[int, int]]:
        return places(iter(stream(segments(frames), **settings)))

    settings = {}, {"epoch": 1}, {"seed": 1}, {"seed": 1, "epoch": 1}
    first = {frozenset(order(4004, **each)[:512]) for each in settings}  # of 125 stretches sixteen
    mixed = {tuple(order(30, **each)) for each in settings}  # of a single stretch
    assert len(first) == len(mixed) == 4


def test_finished_batches_are_not_decoded_again() -> None:
    (part,) = segments(4004)
    assert len(list(stream([part], done=128))) == 1000 - 128
    decoded = part.video.decoded  # type: ignore[attr-defined]
    assert len(decoded) == (125 - 16) * 36


def test_the_longest_video_begins_so_that_others_go_beside_it() -> None:
    windows = OrderedWindows(segments(9, 9, 45), length=5, batch_size=4, threads=0, abreast=2)
    assert len(windows) == 21  # 41 windows, two at a time


def test_a_sample_played_fast_ends_with_its_own_frame() -> None:
    sample = sample_windows(segments(20), length=3, count=1, speed=4)
    assert sample is not None
    assert sample.frames[0, :, 0, 0, 0].tolist() == [0, 4, 8]
    assert sample.frame.tolist() == [8]


LENGTHS = st.lists(st.integers(1, 200), min_size=1, max_size=6)


@given(LENGTHS, st.integers(1, 900), st.sampled_from([1, 8, 32]), st.integers(1, 4))
def test_a_sample_has_each_window_once_and_each_video_by_its_length(
    lengths: list[int], count: int, stretch: int, world_size: int
) -> None:
    everything = every_window(5, *lengths)
    count = min(count, len(everything))

    def sample(**settings: int) -> list[tuple[int, int]]:
        windows = stream(segments(*lengths), sample=count, stretch=stretch, **settings)
        batches = list(windows)
        assert len(batches) == len(windows)
        return places(iter(batches))

    whole = sample()
    assert len(set(whole)) == len(whole) == count
    assert set(whole) <= set(everything)
    for video, frames in enumerate(lengths):
        share = count * max(frames - 4, 0) / max(len(everything), 1)
        assert abs(sum(v == video for v, _ in whole) - share) <= 2 * stretch + 4
    shares = [sample(rank=rank, world_size=world_size) for rank in range(world_size)]
    assert {len(share) for share in shares} == {count // world_size}
    dealt = list(chain.from_iterable(shares))
    assert len(set(dealt)) == len(dealt)
    assert set(dealt) <= set(whole)


def test_each_epoch_and_seed_has_a_sample_of_its_own_and_always_the_same() -> None:
    def sample(**settings: int) -> frozenset[tuple[int, int]]:
        return frozenset(places(iter(stream(segments(404, 204), sample=80, **settings))))

    samples = {sample(epoch=epoch, seed=seed) for epoch in range(3) for seed in range(2)}
    assert len(samples) == 6
    assert sample(epoch=2, seed=1) == sample(epoch=2, seed=1)
    assert len(frozenset.union(*(sample(epoch=epoch) for epoch in range(40)))) == 600


def test_a_sample_of_all_windows_or_more_is_the_whole_epoch_in_its_order() -> None:
    whole = places(iter(stream(segments(60, 41))))
    for count in (93, 94, 10**30):
        assert places(iter(stream(segments(60, 41), sample=count))) == whole


def test_a_sample_decodes_its_own_stretches_alone() -> None:
    (part,) = segments(100_004)
    found = places(iter(stream([part], sample=640)))
    # 20 stretches of 32 windows; the one around the end is in two parts.
    assert len(part.video.decoded) in (20 * 36, 20 * 36 + 4)  # type: ignore[attr-defined]
    frames = sorted(frame for _, frame in found)
    assert max(after - before for before, after in pairwise(frames)) <= 2 * 100_000 / 20


def test_a_small_sample_has_short_stretches_of_many_places() -> None:
    found = places(iter(stream(segments(*[104] * 8), sample=24)))
    assert {video for video, _ in found} == set(range(8))


@pytest.mark.parametrize("done", [0, 7, 20])
def test_a_resumed_stream_yields_the_rest_of_its_sample(done: int) -> None:
    def places_of(**settings: int) -> list[list[tuple[int, int]]]:
        windows = stream(segments(400, 300), sample=78, epoch=3, **settings)
        assert len(windows) == 20
        return [places(iter([batch])) for batch in windows]

    assert places_of(done=done) == places_of()[done:]
