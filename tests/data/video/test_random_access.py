"""Frames by number are those in order, in every way of reading, and few are in memory at a time."""

import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import av
import decord
import numpy as np
import pytest

from memguard.data.clips.frame_cache import cache_in_memory
from memguard.data.clips.segments import Segment
from memguard.data.clips.windows import OrderedWindows, ShuffledWindows
from memguard.data.video import random_access
from memguard.data.video.packets import packets
from memguard.data.video.reader import Video

FRAMES, KEY_FRAMES = 90, 20
# More than the decoder and the windows take, far less than all frames of each video here.
BOUND_MIB = 400


def write_video(path: Path, width: int, height: int, frames: int, **options: str) -> Path:
    """Film a texture that the camera moves over."""
    texture = np.random.default_rng(0).integers(0, 256, (height // 8, width // 8), np.uint8)
    texture = texture.repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = np.roll(texture, (2 * number, 5 * number), (0, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module", params=["closed.mp4", "open.mkv", "index_free.ts"])
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with frames that are stored in another order than they are shown in."""
    x264 = f"keyint={KEY_FRAMES}:min-keyint={KEY_FRAMES}:scenecut=0:bframes=3"
    x264 += ":open-gop=1" if request.param == "open.mkv" else ""
    path = tmp_path_factory.mktemp("reading") / request.param
    return write_video(path, 128, 96, FRAMES, **{"x264-params": x264})


def in_order(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize("way", [random_access._through_decord, random_access._through_pyav])
def test_frames_by_number_are_those_in_order(video: Path, way: Callable[..., object]) -> None:
    found, expected = packets(video), in_order(video)
    assert found.frames == len(expected) == FRAMES
    assert len(found.starts) > 3
    for start in (0, 1, KEY_FRAMES - 2, KEY_FRAMES, KEY_FRAMES + 1, 50, FRAMES - 5):
        frames = range(start, start + 5)
        decoded = np.stack(list(way(video, found, frames)))  # type: ignore[call-overload]
        np.testing.assert_array_equal(decoded, expected[start : start + 5])


@pytest.mark.parametrize("decord_bytes", [10 * 128 * 96 * 3, 100 * 128 * 96 * 3])
def test_a_long_video_reads_as_a_short_one(
    video: Path, monkeypatch: pytest.MonkeyPatch, decord_bytes: int
) -> None:
    """Through PyAV, and in excerpts one after the other."""
    monkeypatch.setattr(random_access, "EXCERPT_FRAMES", 20)
    monkeypatch.setattr(random_access, "DECORD_BYTES", decord_bytes // 2)
    indices = [*range(3, 88), 0, 7, 7, 89, 30, 31, 32]
    assert not random_access.decord_may_open(packets(video))
    frames = Video(video).frames(indices).permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(frames, in_order(video)[indices])
    assert len(Video(video)) == FRAMES
    for outside in (-1, FRAMES):
        with pytest.raises(IndexError, match="numbered from 0 to 89"):
            Video(video).frames([3, outside])


@pytest.mark.parametrize("start", [0, 33, FRAMES - 5])
def test_decord_is_given_no_frame_after_those_wanted(video: Path, start: int) -> None:
    """Else it would decode all of them, into memory, whenever it gets the time."""
    excerpt, before = random_access._excerpt(video, packets(video), range(start, start + 5))
    reader = decord.VideoReader(excerpt)
    stored_early = 3  # a frame that others are shown before
    assert before + 5 <= len(reader) <= before + 5 + stored_early
    # From the key frame before, or from two before where frames are shown before a key frame.
    assert before <= 2 * KEY_FRAMES


def test_frames_without_time_stamps_are_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.h264", 128, 96, 30, g="10", bf="0")
    found = packets(path)
    assert found.stamps is None
    decoded = list(random_access.pictures(path, found, range(13, 17)))
    np.testing.assert_array_equal(np.stack(decoded), in_order(path)[13:17])


def memory_mib(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def growth_mib(read: Callable[[Path], None], path: Path) -> float:
    """How much memory reading takes at its highest, alone in a process that cannot take all."""
    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, 6 * 2**30))
    before = memory_mib("VmRSS")
    read(path)
    return memory_mib("VmHWM") - before


def train(path: Path) -> None:
    frames = len(Video(path))
    parts = [Segment(Video(path, frame_size=64), 0, range(max(frames - 160, 0), frames))]
    for _ in ShuffledWindows(parts, length=5, batch_size=4, seed=0, epoch=0, threads=2):
        time.sleep(0.01)


def go_through(path: Path) -> None:
    parts = [Segment(Video(path, frame_size=64), 0, range(100))]
    for _ in OrderedWindows(parts, length=5, batch_size=16, threads=2):
        time.sleep(0.1)


def keep(path: Path) -> None:
    cache_in_memory(Video(path, frame_size=64))


def slowly(path: Path) -> None:
    """As on a busy machine: whatever may decode ahead has the time to."""
    found = packets(path)
    for _ in random_access.pictures(path, found, range(60, 80)):
        time.sleep(0.1)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1080p: 200 frames take 1.2 GiB."""
    path = tmp_path_factory.mktemp("large") / "1080p.mp4"
    return write_video(path, 1920, 1080, 200, preset="ultrafast", g="250")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """640×360: 2000 frames take 1.3 GiB."""
    path = tmp_path_factory.mktemp("long") / "360p.mp4"
    return write_video(path, 640, 360, 2000, preset="ultrafast", g="50")


def alone(read: Callable[[Path], None], path: Path) -> float:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(growth_mib, read, path).result()


@pytest.mark.parametrize("read", [train, go_through, keep, slowly])
def test_memory_is_bounded_for_large_pictures(large: Path, read: Callable[[Path], None]) -> None:
    assert alone(read, large) < BOUND_MIB


@pytest.mark.parametrize("read", [train, slowly])
def test_memory_is_bounded_for_long_videos(long: Path, read: Callable[[Path], None]) -> None:
    assert alone(read, long) < BOUND_MIB


def test_memory_is_bounded_for_a_real_file_of_six_minutes(real_data: Path) -> None:
    path = real_data / "odd" / "long_10883_frames.mp4"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    assert alone(train, path) < BOUND_MIB
