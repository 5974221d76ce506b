"""The datamodule: its held-out frames, its cache, and the problems it reports first."""

from collections.abc import Iterable
from itertools import chain, combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.windows import ClipBatch
from memguard.data.datasets.benchmark import Benchmark, VideoRecord
from memguard.data.datasets.folder import folder
from memguard.data.datasets.labels import FrameLabels
from memguard.errors import ConfigError, DataError
from tests.conftest import moving_square, write_video


def datamodule(benchmark: Benchmark, tmp_path: Path, **settings: object) -> ClipDataModule:
    defaults = {
        "cache_dir": tmp_path / "cache", "past": 4, "frame_size": 32, "channels": 1,
        "batch_size": 4, "threads": 0, "holdout": 0.25, "seed": 0,
    }  # fmt: skip
    return ClipDataModule(benchmark, **(defaults | settings))  # type: ignore[arg-type]


def places(batches: Iterable[ClipBatch]) -> set[tuple[int, int]]:
    return {(int(v), int(f)) for b in batches for v, f in zip(b.video, b.frame, strict=True)}


def test_each_videos_tail_is_held_out_and_no_window_crosses(
    shared_scene: Path, tmp_path: Path
) -> None:
    data = datamodule(folder(shared_scene), tmp_path)
    data.setup()
    assert places(data.train_dataloader()) == {(v, f) for v in range(2) for f in range(4, 18)}
    assert places(data.val_dataloader()) == {(v, f) for v in range(2) for f in range(22, 24)}


def test_without_holdout_everything_is_trained_on(shared_scene: Path, tmp_path: Path) -> None:
    data = datamodule(folder(shared_scene), tmp_path, holdout=0)
    data.setup()
    assert len(data.val_dataloader()) == 0
    assert sum(len(b.frame) for b in data.train_dataloader()) == 2 * 20


def test_the_rate_is_the_median_of_the_training_videos(tmp_path: Path) -> None:
    for number, fps in enumerate([25, 10, 5]):
        video = tmp_path / "door" / "train" / f"{number}.mp4"
        write_video(video, moving_square(10), fps)
    data = datamodule(folder(tmp_path / "door"), tmp_path)
    data.setup()
    assert data.fps == 10


@pytest.mark.parametrize("cache", ["disk", "ram"])
@pytest.mark.parametrize("threads", [0, 2])
def test_cached_frames_give_the_same_batches_as_the_stream(
    shared_scene: Path, tmp_path: Path, cache: str, threads: int
) -> None:
    streamed, kept = (
        datamodule(folder(shared_scene), tmp_path, cache=how, threads=threads)
        for how in ("none", cache)
    )
    streamed.setup()
    kept.setup()
    for one, other in (
        (streamed.train_dataloader(), kept.train_dataloader()),
        (streamed.val_dataloader(), kept.val_dataloader()),
    ):
        for batch, same in zip(one, other, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(batch, same, strict=True))


def test_frames_are_on_disk_before_the_processes_of_a_machine_need_them(
    scene: Path, tmp_path: Path
) -> None:
    datamodule(folder(scene), tmp_path, cache="disk").prepare_data()
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2
    (scene / "test" / "0.mp4").write_bytes(b"")
    elsewhere = datamodule(folder(scene), tmp_path / "elsewhere", cache="disk")
    with pytest.raises(DataError, match=r"test/0\.mp4"):
        elsewhere.prepare_data()
    assert not list((tmp_path / "elsewhere").rglob("*.npy"))


def test_test_windows_skip_the_first_four_frames_and_so_do_the_labels(
    shared_scene: Path, tmp_path: Path
) -> None:
    data = datamodule(folder(shared_scene), tmp_path)
    data.setup("test")
    batches = list(data.test_dataloader())
    frame = np.concatenate([b.frame for b in batches])
    label = np.concatenate([b.label for b in batches])
    assert frame.tolist() == list(range(4, 20)) * 2
    assert label.tolist() == ([0] * 6 + [1] * 10) * 2


class Several:
    """The part of a trainer of several processes that a datamodule reads."""

    def __init__(self, rank: int, world_size: int) -> None:
        self.global_rank, self.world_size, self.current_epoch = rank, world_size, 0


@pytest.mark.parametrize(
    ("apart", "own"), [(True, [{0}, {1}, set()]), (False, [{0, 1}, set(), set()])]
)
def test_processes_share_whole_test_videos_where_these_are_apart_and_none_stays_away(
    shared_scene: Path, tmp_path: Path, apart: bool, own: list[set[int]]
) -> None:
    for rank, numbers in enumerate(own):
        data = datamodule(folder(shared_scene), tmp_path, videos_apart=apart)
        data.trainer = Several(rank, 3)  # type: ignore[assignment]
        data.setup("test")
        assert {segment.number for segment in data.own_tests} == numbers
        tested = {video for video, _ in places(data.test_dataloader())}
        assert tested == ({0, 1} if not apart else numbers or {0})


def test_a_video_shorter_than_a_window_is_named(shared_scene: Path, tmp_path: Path) -> None:
    data = datamodule(folder(shared_scene), tmp_path, past=30)
    with pytest.raises(DataError, match=r"0\.mp4 has 24 frames, fewer than the 31"):
        data.setup()


def test_labels_of_another_length_are_named(shared_scene: Path, tmp_path: Path) -> None:
    whole = folder(shared_scene)
    labels = FrameLabels(np.zeros(19, np.uint8), "labels.npy")
    record = VideoRecord("0", whole.test[0].source, labels)
    data = datamodule(Benchmark("scene", whole.train, (record,)), tmp_path)
    with pytest.raises(DataError, match=r"labels\.npy: found 19 labels, .* 20 frames"):
        data.setup("test")


def test_all_problems_are_reported_before_work_begins(scene: Path, tmp_path: Path) -> None:
    bad = scene / "train" / "1.mp4", scene / "test" / "0.mp4"
    benchmark = folder(scene)
    for path in bad:
        path.write_bytes(path.read_bytes()[:-2000])
    data = datamodule(benchmark, tmp_path)
    data.prepare_data()
    with pytest.raises(DataError) as error:
        data.setup("fit")
    first, second = str(error.value).splitlines()
    assert (str(bad[0]) in first, str(bad[1]) in second) == (True, True)


def test_skipped_videos_are_left_out_named_and_counted_and_the_others_keep_their_numbers(
    scene: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = scene / "train" / "0.mp4", scene / "test" / "0.mp4"
    benchmark = folder(scene)
    for path in bad:
        path.write_bytes(path.read_bytes()[:-2000])
    data = datamodule(benchmark, tmp_path, on_error="skip", holdout=0)
    data.setup()
    assert places(data.train_dataloader()) == {(1, f) for f in range(4, 24)}
    assert places(data.test_dataloader()) == {(1, f) for f in range(4, 20)}
    assert data.skipped == {"train": 1, "test": 1}
    assert all(f"Left out: {path}" in caplog.text for path in bad)


def test_a_split_is_not_skipped_as_a_whole(scene: Path, tmp_path: Path) -> None:
    for path in (scene / "train").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"0\.mp4: .*\n.*1\.mp4: "):
        datamodule(folder(scene), tmp_path, on_error="skip").setup()


def test_videos_that_are_left_out_are_counted_in_their_own_split(
    scene: Path, tmp_path: Path
) -> None:
    path = scene / "train" / "0.mp4"
    path.write_bytes(path.read_bytes()[:-2000])
    data = datamodule(folder(scene), tmp_path, on_error="skip")
    data.setup()
    assert data.skipped == {"train": 1, "test": 0}


@pytest.mark.parametrize(
    ("settings", "trained_to", "held_out"),
    [
        ({"holdout": 0.01}, 18, [23]),  # a window at least: frames 19 to 23
        ({"holdout": 0.32}, 15, [20, 21, 22, 23]),  # 7.68 frames are eight
        ({"holdout": 0.5, "past": 11}, 11, [23]),  # a window is left to each
        ({"holdout": 0.5, "past": 12}, 23, []),  # no window would be left
    ],
)
def test_whole_windows_are_held_out_where_windows_are_left(
    settings: dict[str, float], trained_to: int, held_out: list[int],
    shared_scene: Path, tmp_path: Path,
) -> None:  # fmt: skip
    data = datamodule(folder(shared_scene), tmp_path, **settings)
    data.setup("fit")
    assert places(data.val_dataloader()) == {(v, f) for v in range(2) for f in held_out}
    assert max(frame for _, frame in places(data.train_dataloader())) == trained_to


def in_order(batches: Iterable[ClipBatch]) -> list[list[int]]:
    return [(100 * batch.video + batch.frame).tolist() for batch in batches]


def at(
    rank: int = 0, world_size: int = 1, epoch: int = 0, ready: int = 0, overfit_batches: int = 0
) -> Any:
    """A trainer at a place of its training, with a batch more begun than ended."""
    current = SimpleNamespace(ready=ready, started=ready, processed=ready, completed=ready - 1)
    loop = SimpleNamespace(batch_progress=SimpleNamespace(current=current))
    return SimpleNamespace(
        global_rank=rank, world_size=world_size, current_epoch=epoch,
        fit_loop=SimpleNamespace(epoch_loop=loop), overfit_batches=overfit_batches,
    )  # fmt: skip


def test_seed_epoch_stretch_and_place_decide_on_the_order_of_training_windows(
    shared_scene: Path, tmp_path: Path
) -> None:
    def order(trainer: Any = None, **settings: object) -> list[list[int]]:
        data = datamodule(folder(shared_scene), tmp_path, **settings)
        data.trainer = trainer or at()
        data.setup("fit")
        assert in_order(data.all_training_windows()) == in_order(data.all_training_windows())
        assert len(data.train_dataloader()) == 7
        return in_order(data.train_dataloader())

    first = order()
    others = [order(seed=1), order(at(epoch=1)), order(stretch=1)]
    assert all(one != other for one, other in combinations([first, *others], 2))
    assert order(at(ready=3)) == first[3:]
    assert order(at(epoch=1, overfit_batches=2)) == first


def test_all_training_windows_are_all_wherever_the_training_stands(
    shared_scene: Path, tmp_path: Path
) -> None:
    data = datamodule(folder(shared_scene), tmp_path)
    data.trainer = at(ready=3)
    data.setup("fit")
    assert len(in_order(data.all_training_windows())) == 7


def test_each_epoch_samples_as_many_windows_as_requested_and_at_most_all(
    shared_scene: Path, tmp_path: Path
) -> None:
    def sample(count: int, **place: int) -> list[int]:
        data = datamodule(folder(shared_scene), tmp_path, windows_per_epoch=count)
        data.trainer = at(**place)
        data.setup("fit")
        assert (data.training_windows, data.epoch_windows) == (28, min(count, 28))
        assert len(data.held_out) == 2
        return list(chain.from_iterable(in_order(data.train_dataloader())))

    assert len(set(sample(10))) == 10
    assert set(sample(10)) != set(sample(10, epoch=1))
    assert sample(10, ready=2) == sample(10)[8:]
    shares = [sample(10, rank=rank, world_size=2) for rank in range(2)]
    assert [len(share) for share in shares] == [5, 5]
    assert sorted(chain(*shares)) == sorted(sample(10))
    assert len(sample(1000)) == 28


def test_a_sample_that_leaves_a_process_without_a_window_is_refused(
    shared_scene: Path, tmp_path: Path
) -> None:
    data = datamodule(folder(shared_scene), tmp_path, windows_per_epoch=2)
    data.trainer = at(0, 3)
    with pytest.raises(
        ConfigError, match=r"2 training windows, fewer than the 3 .*_per_epoch to at least 3"
    ):
        data.setup("fit")


def test_processes_share_training_and_held_out_windows(shared_scene: Path, tmp_path: Path) -> None:
    trained: list[int] = []
    held_out: list[int] = []
    for rank in range(2):
        data = datamodule(folder(shared_scene), tmp_path)
        data.trainer = at(rank, 2)
        data.setup("fit")
        trained += chain.from_iterable(in_order(data.train_dataloader()))
        held_out += chain.from_iterable(in_order(data.val_dataloader()))
    assert len(trained) == len(set(trained)) == 28
    assert sorted(held_out) == [22, 23, 122, 123]


def test_a_test_window_is_that_of_its_video_and_ends_with_its_frame(
    shared_scene: Path, tmp_path: Path
) -> None:
    data = datamodule(folder(shared_scene), tmp_path)
    data.setup("test")
    batch = list(data.test_dataloader())[-1]
    assert int(batch.video[3]) == 1
    assert torch.equal(data.test_window(1, int(batch.frame[3])), batch.frames[3])


def test_videos_that_are_judged_apart_come_side_by_side(shared_scene: Path, tmp_path: Path) -> None:
    data = datamodule(folder(shared_scene), tmp_path, videos_apart=True, channels=3)
    data.setup("test")
    first = next(iter(data.test_dataloader()))
    assert first.video.tolist() == [0] * 8 + [1] * 8
    assert first.frames.shape == (16, 5, 3, 32, 32)


def test_a_process_without_a_test_video_repeats_the_shortest(scene: Path, tmp_path: Path) -> None:
    write_video(scene / "test" / "1.mp4", moving_square(12))
    (scene / "labels.csv").unlink()
    data = datamodule(folder(scene), tmp_path, videos_apart=True)
    data.trainer = at(2, 3)
    data.setup("test")
    assert data.own_tests == []
    assert places(data.test_dataloader()) == {(1, frame) for frame in range(4, 12)}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("holdout", 1.0, r"holdout=1\.0 must be a share from 0 to below 1"),
        ("windows_per_epoch", 0, "windows_per_epoch=0 must be at least 1"),
        ("channels", 2, r"channels=2 must be 1 \(grey\) or 3 \(RGB\)"),
    ],
)
def test_impossible_values_are_refused(
    shared_scene: Path, tmp_path: Path, name: str, value: float, sentence: str
) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        datamodule(folder(shared_scene), tmp_path, **{name: value})
