"""The datamodule: what it holds out, and what it refuses before work begins."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from memguard.data.datamodule import ClipDataModule
from memguard.data.labels import FrameLabels
from memguard.data.layouts import Benchmark, VideoRecord, folder
from memguard.data.windows import ClipBatch
from memguard.errors import DataError


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


@pytest.mark.parametrize("cache", ["disk", "ram"])
@pytest.mark.parametrize("threads", [0, 2])
def test_kept_frames_give_the_same_batches_as_the_stream(
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


def test_frames_are_kept_on_disk_before_the_processes_of_a_machine_look_for_them(
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
    """What a datamodule asks a trainer of several processes."""

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


def test_all_problems_are_told_before_work_begins(scene: Path, tmp_path: Path) -> None:
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
