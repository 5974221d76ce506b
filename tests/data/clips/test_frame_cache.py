"""Kept frames are those of the video, bit for bit."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from memguard.data.clips.frame_cache import (
    FramesInMemory,
    FramesOnDisk,
    cache_in_memory,
    cache_on_disk,
)
from memguard.data.video.reader import Video
from memguard.errors import DataError

Keep = Callable[[Video, Path], FramesOnDisk | FramesInMemory]
WAYS: list[Keep] = [cache_on_disk, lambda video, _: cache_in_memory(video)]


@pytest.fixture
def video(scene: Path) -> Video:
    return Video(scene / "train" / "0.mp4", frame_size=32, channels=1)


@pytest.mark.parametrize("keep", WAYS)
def test_cached_frames_equal_those_of_the_video(video: Video, tmp_path: Path, keep: Keep) -> None:
    kept = keep(video, tmp_path / "cache")
    assert len(kept) == len(video)
    for span in (range(24), range(3, 8), range(23, 24)):
        assert torch.equal(kept.frames(span), video.frames(span))


def test_a_video_is_decoded_onto_disk_once(
    video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = cache_on_disk(video, tmp_path)
    monkeypatch.setattr(Video, "frames", lambda *_: pytest.fail("decoded again"))
    assert cache_on_disk(video, tmp_path).path == first.path


def test_another_size_or_a_changed_file_has_its_own_cache(video: Video, tmp_path: Path) -> None:
    first = cache_on_disk(video, tmp_path)
    smaller = Video(video.path, frame_size=16, channels=1)
    assert cache_on_disk(smaller, tmp_path).frames(range(1)).shape == (1, 1, 16, 16)
    wide, high = (Video(video.path, frame_size=size, channels=1) for size in ([16, 32], [32, 16]))
    assert cache_on_disk(wide, tmp_path).frames(range(1)).shape == (1, 1, 16, 32)
    assert cache_on_disk(high, tmp_path).frames(range(1)).shape == (1, 1, 32, 16)
    square = Video(video.path, frame_size=[16, 16], channels=1)
    assert cache_on_disk(square, tmp_path).path == cache_on_disk(smaller, tmp_path).path
    os.utime(video.path, ns=(0, 0))
    assert cache_on_disk(video, tmp_path).path != first.path


def test_a_cache_that_cannot_be_written_is_reported_and_nothing_is_left(
    video: Video, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"paths\.cache_dir"):
        cache_on_disk(video, tmp_path / "cache")


def test_a_damaged_video_leaves_nothing_behind(video: Video, tmp_path: Path) -> None:
    video.path.write_bytes(video.path.read_bytes()[:1500])
    with pytest.raises(DataError):
        cache_on_disk(video, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("**/*"))
