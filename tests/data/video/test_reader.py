import gc
import os
import pickle
import shutil
from functools import partial
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Literal

import av
import cv2
import decord
import numpy as np
import pytest
import torch
from PIL import Image

from memguard.data.video.conversion import survey
from memguard.data.video.frame_folders import as_video
from memguard.data.video.frame_size import FrameSize, sides
from memguard.data.video.reader import OPEN_READERS, Video
from memguard.errors import DataError

FRAMES = 50


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write_images(folder: Path, frames: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number}.png")
    return folder


def write_video(path: Path, codec: Literal["libx264", "mpeg4"], frames: int = FRAMES) -> Path:
    """Write a video whose content moves, at 25 frames per second."""
    ramp = np.add.outer(np.arange(96), np.arange(128))
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, width=128, height=96, pix_fmt="yuv420p")
        for number in range(frames):
            picture = ((ramp + 5 * number) % 256).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def truncate(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    return path


@pytest.fixture(scope="module")
def colour_frames() -> np.ndarray:
    return noise(30, 46, 62, 3)


@pytest.fixture(scope="module")
def colour_video(tmp_path_factory: pytest.TempPathFactory, colour_frames: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("colour")
    return as_video(write_images(folder / "frames", colour_frames), folder / "cache")


def test_frames_come_as_requested(colour_video: Path, colour_frames: np.ndarray) -> None:
    video = Video(colour_video)
    indices = [29, 0, 13, 13, 7]
    frames = video.frames(indices)
    assert frames.dtype == torch.uint8
    assert frames.is_contiguous()
    np.testing.assert_array_equal(frames.permute(0, 2, 3, 1).numpy(), colour_frames[indices])
    with pytest.raises(IndexError):
        video.frames([30])


def test_random_access_agrees_with_reading_through(real_data: Path) -> None:
    video = Video(real_data / "avenue" / "training_videos" / "12.avi")
    through = video.frames(range(60))
    for start in (40, 3, 11, 12, 54, 0):
        assert torch.equal(video.frames(range(start, start + 5)), through[start : start + 5])


def test_properties_are_as_stored(colour_video: Path) -> None:
    video = Video(colour_video, frame_size=16, channels=1)
    assert (len(video), video.height, video.width, video.fps) == (30, 46, 62, 25.0)
    assert video.frames([0, 1]).shape == (2, 1, 16, 16)
    assert Video(colour_video, frame_size=16).frames([0, 1]).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("width", [8, 16, 24, 48, 62, 72])
def test_narrow_frames_are_read_as_stored(tmp_path: Path, width: int) -> None:
    frames = noise(5, 34, width, 3)
    path = as_video(write_images(tmp_path / "frames", frames), tmp_path / "cache")
    read = Video(path).frames([4, 0, 2]).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(read, frames[[4, 0, 2]])


def test_grey_equals_opencv(colour_video: Path, colour_frames: np.ndarray) -> None:
    grey = Video(colour_video, channels=1).frames(range(30))
    expected = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in colour_frames])
    np.testing.assert_array_equal(grey[:, 0].numpy(), expected)


def test_grey_of_equal_channels_is_the_channel(tmp_path: Path) -> None:
    levels = np.tile(np.arange(256, dtype=np.uint8), (2, 16, 1))
    path = as_video(write_images(tmp_path / "frames", levels), tmp_path / "cache")
    np.testing.assert_array_equal(Video(path, channels=1).frames([0, 1])[:, 0].numpy(), levels)


@pytest.mark.parametrize("size", [24, 256, [24, 40]])
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_equals_opencv(colour_video: Path, size: FrameSize, channels: int) -> None:
    stored = Video(colour_video, channels=channels).frames(range(5))
    resized = Video(colour_video, frame_size=size, channels=channels)
    assert resized.frames([0]).shape[-2:] == sides(size)
    assert_resized_as_opencv(stored, resized)


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_of_real_frames_equals_opencv(real_data: Path, channels: int) -> None:
    path = real_data / "avenue" / "testing_videos" / "08.avi"
    stored = Video(path, channels=channels).frames(range(5))
    assert_resized_as_opencv(stored, Video(path, frame_size=256, channels=channels))


def assert_resized_as_opencv(stored: torch.Tensor, video: Video) -> None:
    resized = video.frames(range(len(stored)))
    height, width = resized.shape[-2:]
    for before, after in zip(stored, resized, strict=True):
        picture = np.ascontiguousarray(before.permute(1, 2, 0).numpy())
        expected = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(
            after.permute(1, 2, 0).numpy(), expected.reshape(height, width, -1)
        )


def test_pickled_video_reads_the_same(colour_video: Path) -> None:
    video = Video(colour_video, frame_size=16, channels=1)
    frames = video.frames([4, 5])
    assert torch.equal(pickle.loads(pickle.dumps(video)).frames([4, 5]), frames)


def read_and_drop(video: Video, results: "Queue[bytes]") -> None:
    # Plain bytes: a tensor would be shared through a file descriptor of this short-lived process.
    results.put(video.frames([4, 5]).numpy().tobytes())
    del video
    gc.collect()


@pytest.mark.parametrize("context", [ForkContext(), SpawnContext()], ids=["fork", "spawn"])
def test_video_in_use_works_on_in_another_process(
    colour_video: Path, context: ForkContext | SpawnContext
) -> None:
    video = Video(colour_video)
    frames = video.frames([4, 5])
    garbage: list[object] = [decord.VideoReader(str(colour_video))]
    garbage.append(garbage)
    del garbage
    results = context.Queue()
    process = context.Process(target=read_and_drop, args=(video, results))
    process.start()
    try:
        assert results.get(timeout=300) == frames.numpy().tobytes()
        process.join(timeout=60)
        assert process.exitcode == 0
    finally:
        process.kill()
    assert torch.equal(video.frames([4, 5]), frames)


def test_more_videos_than_open_readers(
    tmp_path: Path, colour_video: Path, colour_frames: np.ndarray
) -> None:
    videos = [
        Video(Path(shutil.copy(colour_video, tmp_path / f"{n}.mp4")))
        for n in range(2 * OPEN_READERS)
    ]
    before = len(os.listdir("/proc/self/fd"))
    for video in videos:
        first = video.frames([0])[0].permute(1, 2, 0).numpy()
        np.testing.assert_array_equal(first, colour_frames[0])
    assert len(os.listdir("/proc/self/fd")) - before < OPEN_READERS + 4


def test_missing_video_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.mp4: there is no such video"):
        Video(tmp_path / "gone.mp4")


@pytest.mark.parametrize("content", [b"", b"this is text, not a video\n" * 50])
def test_a_file_without_video_is_rejected(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    video = Video(path)
    inspecting, counting = partial(survey, path), partial(len, video)
    for use in (inspecting, counting, lambda: video.fps, lambda: video.frames([0])):
        with pytest.raises(DataError, match=r"bad\.mp4: .*re-encode it with `ffmpeg"):
            use()


@pytest.mark.parametrize(
    ("name", "codec"),
    [("x.mp4", "libx264"), ("x.avi", "mpeg4"), ("x.avi", "libx264"), ("x.mkv", "libx264")],
)
@pytest.mark.parametrize("share", [0.5, 0.75])
def test_check_tells_a_truncated_video_from_a_whole_one(
    tmp_path: Path, name: str, codec: Literal["libx264", "mpeg4"], share: float
) -> None:
    path = write_video(tmp_path / name, codec)
    survey(path)
    cut_off = truncate(Path(shutil.copy(path, tmp_path / f"cut_off_{name}")), share)
    with pytest.raises(DataError, match=f"cut_off_{name}"):
        survey(cut_off)


def test_check_catches_damage_within(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4", "libx264")
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + half // 2] = noise(half // 2).tobytes()
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.mp4"):
        survey(path)


def test_real_videos_are_whole(real_data: Path) -> None:
    survey(real_data / "avenue" / "training_videos" / "12.avi")
    survey(real_data / "avenue" / "testing_videos" / "08.avi")
