"""Videos read in order: frames, size, rate and times, or the sentence that says what is wrong."""

import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from memguard.data.datasets.preparation import inspect
from memguard.data.video.decoding import Orientation, contents
from memguard.data.video.reader import Video
from memguard.data.video.stream import Pictures, VideoStream
from memguard.errors import DataError
from tests.conftest import moving_square


class Odd(NamedTuple):
    """The known content of an odd file; with a fault, the frames before it.

    Attributes:
        frames: How many are given.
        size: Width and height, upright, pixels.
        fps: Frames per second.
        first: When the first begins, seconds.
        last: When the last begins, seconds.
        fault: The end of the error, after the frames or at once.
    """

    frames: int
    size: tuple[int, int] = (0, 0)
    fps: float = 0.0
    first: float = 0.0
    last: float = 0.0
    fault: str = ""


NTSC = 30000 / 1001
ODD = {
    "vfr_android_slow_motion.mp4": Odd(7, (1280, 720), 13.3246, 0, 0.4920),
    "rot90_iphone.mov": Odd(3, (320, 568), 30, 0, 0.0667),
    "rotate_and_mirror.mp4": Odd(30, (720, 1080), NTSC, 0, 0.9676),
    "h265_bframes.mp4": Odd(30, (854, 480), 30, 0, 0.9667),
    "editlist_starts_at_1s.mp4": Odd(270, (1920, 1080), 30, 0, 8.9667),
    "first_pts_10s.mp4": Odd(120, (800, 640), 30, 0, 3.9667),
    "audio_first_qt.mov": Odd(30, (640, 428), 29.4089, 0, 0.9676),
    "h264_10bit.mp4": Odd(30, (200, 200), 30, 0, 0.9667),
    "odd_dimensions_161x121.webm": Odd(30, (161, 121), 29.97, 0, 0.968),
    "no_duration.webm": Odd(74, (1280, 720), 14.985, 0, 4.872),
    "mkv_wrong_count.mkv": Odd(30, (1080, 720), 30, 0, 0.967),
    "h265.ts": Odd(30, (854, 480), 30, 0, 0.9667),
    "flv_wrong_count.flv": Odd(30, (1080, 720), 30, 0, 0.967),
    "avi_mpeg4_packed_bframes.avi": Odd(96, (960, 400), 23.976, 0, 4.0457),
    "rawvideo_48x48.avi": Odd(51, (48, 48), 15, 0, 3.3333),
    "msmpeg4v2_highway.avi": Odd(374, (640, 360), 30, 0, 12.4333),
    "avi_nonmonotonic_pts_traffic.avi": Odd(1699, (320, 240), 60.0002, 0, 28.3332),
    "corrupt_28_of_50.mp4": Odd(
        28, (1280, 720), 10, 0, 2.7, "damaged after 28 frames that decode; copy it again"
    ),
    "invalid_nalu_26_of_30.mp4": Odd(
        26, (1080, 720), NTSC, 0, 0.8342, "damaged after 26 frames that decode; copy it again"
    ),
    "opens_but_zero_frames.webm": Odd(0, fault="has no frame that decodes; copy it again"),
    "fragmented.mp4": Odd(30, (1080, 720), NTSC, 0, 0.9676),
    "av1.mp4": Odd(30, (1080, 720), NTSC, 0, 0.9676),
    "raw_elementary.h264": Odd(245, (640, 480), 25, 0, 9.76),
    "init_segment_no_frames.mp4": Odd(0, fault="has no frames; record it again"),
    "timelapse_pi_444.mp4": Odd(160, (320, 240), 25, 0, 6.36),
    "long_10883_frames.mp4": Odd(10883, (1920, 1080), 30, 0, 362.7333),
}  # fmt: skip

# Decoding six minutes of it takes a minute, so these alone look at its beginning.
LONG = "long_10883_frames.mp4"
# Random access through decord gives other frames of these: they are converted.
CONVERTED = {
    "avi_nonmonotonic_pts_traffic.avi", "h264_10bit.mp4", "h265.ts", "odd_dimensions_161x121.webm",
}  # fmt: skip


def read_through(stream: VideoStream) -> tuple[list[Pictures], str]:
    """Read a stream to its end or to its fault."""
    read: list[Pictures] = []
    try:
        for pictures in stream:
            read.append(pictures._replace(rgb=pictures.rgb[:, :, :1, :1]))  # the size is known
    except DataError as error:
        return read, str(error)
    return read, ""


@pytest.mark.parametrize("name", [name for name in ODD if name != LONG])
def test_an_odd_file_is_streamed_right_or_says_what_is_wrong(real_data: Path, name: str) -> None:
    path, odd = real_data / "odd" / name, ODD[name]
    if odd.frames == 0:
        with pytest.raises(DataError, match=odd.fault) as error:
            VideoStream(path)
        assert str(error.value).startswith(f"{path}: this video ")
        return
    stream = VideoStream(path)
    width, height = odd.size
    assert next(iter(stream)).rgb.shape[1:] == (3, height, width)
    read, fault = read_through(stream)
    seconds = [second for pictures in read for second in pictures.seconds]
    assert len(seconds) == sum(len(pictures.rgb) for pictures in read) == odd.frames
    assert stream.fps == pytest.approx(odd.fps, rel=1e-4)
    assert (seconds[0], seconds[-1]) == pytest.approx((odd.first, odd.last), abs=1e-3)
    assert all(before < after for before, after in pairwise(seconds))
    assert odd.fault in fault
    assert bool(odd.fault) == bool(fault)


def test_a_long_file_is_counted_and_opened_without_decoding_it(real_data: Path) -> None:
    stream, odd = VideoStream(real_data / "odd" / LONG), ODD[LONG]
    assert (stream.length, stream.fps) == (odd.frames, odd.fps)
    first = next(iter(stream))
    assert first.rgb.shape[2:] == (1080, 1920)
    assert first.seconds[:2] == pytest.approx([0, 1 / 30])


@pytest.mark.parametrize("name", [name for name in ODD if name != LONG])
def test_an_odd_file_trains_with_the_frames_it_is_scored_with(
    real_data: Path, tmp_path: Path, name: str
) -> None:
    path, odd = real_data / "odd" / name, ODD[name]
    if odd.fault:
        with pytest.raises(DataError, match=odd.fault):
            inspect(path, tmp_path)
        return
    found = inspect(path, tmp_path)
    assert (found.frames, (found.width, found.height)) == (odd.frames, odd.size)
    assert found.fps == pytest.approx(odd.fps, rel=1e-4)
    assert bool(found.converted) == (name in CONVERTED)
    assert (found.path == path) == (name not in CONVERTED)
    video, limit = Video(found.path), 24
    assert len(video) == odd.frames
    for pictures in VideoStream(path):
        trained = video.frames(range(pictures.first, pictures.first + len(pictures.rgb)))
        assert trained.shape == pictures.rgb.shape
        assert int(np.abs(trained.numpy().astype(int) - pictures.rgb).max()) <= 3
        if pictures.first >= limit:
            break


@pytest.mark.parametrize("place", ["avenue/training_videos/12.avi", "ped1/train/01.mp4"])
def test_ordinary_files_give_the_same_bits_in_order_and_by_number(
    real_data: Path, place: str
) -> None:
    video = Video(real_data / place)
    for pictures in VideoStream(real_data / place):
        numbers = range(pictures.first, pictures.first + len(pictures.rgb))
        assert np.array_equal(video.frames(numbers), pictures.rgb)
        if pictures.first > 60:
            break


def write(
    path: Path,
    frames: np.ndarray,
    stamps: list[int],
    *,
    base: Fraction = Fraction(1, 1000),
    options: dict[str, str] | None = None,
    container: str | None = None,
) -> Path:
    """Write lossless video whose frames begin at given times, in units of `base`."""
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        stream = out.add_stream("libx264", rate=1 / base, options={"qp": "0", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv444p"
        stream.codec_context.gop_size = 5
        stream.codec_context.time_base = base
        for stamp, rgb in zip(stamps, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = stamp, base
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def streamed(path: Path) -> tuple[np.ndarray, list[float]]:
    read = list(VideoStream(path))
    return np.concatenate([p.rgb for p in read]), [s for p in read for s in p.seconds]


@pytest.mark.parametrize("suffix", [".flv", ".mkv"])
def test_milliseconds_are_no_rate_of_1000(tmp_path: Path, suffix: str) -> None:
    stamps = [67 + round(n * 1000 / 30) for n in range(24)]
    path = write(tmp_path / f"ms{suffix}", moving_square(24), stamps)
    assert VideoStream(path).fps == pytest.approx(30, rel=0.01)
    assert Video(path).fps == pytest.approx(30, rel=0.01)
    _, seconds = streamed(path)
    assert seconds == pytest.approx([(stamp - 67) / 1000 for stamp in stamps])


def test_an_edit_list_leaves_frames_out_for_training_and_scoring_alike(tmp_path: Path) -> None:
    # Packets before time 0 are needed for decoding, and not to be shown.
    frames = moving_square(20)
    stamps = [40 * (n - 7) for n in range(20)]
    path = write(tmp_path / "cut.mp4", frames, stamps, options={"avoid_negative_ts": "disabled"})
    rgb, seconds = streamed(path)
    assert len(rgb) == contents(path).packets
    assert seconds == pytest.approx([n * 0.04 for n in range(len(rgb))], abs=1e-3)
    found = inspect(path, tmp_path / "cache")
    assert found.frames == len(rgb)
    trained = Video(found.path).frames(range(found.frames))
    assert int(np.abs(trained.numpy().astype(int) - rgb).max()) <= 3


@pytest.mark.parametrize(("name", "container"), [("live.mkv", "matroska"), ("bare.h264", "h264")])
def test_a_file_without_duration_is_read_and_trained_with(
    tmp_path: Path, name: str, container: str
) -> None:
    frames = moving_square(24)
    options = {"live": "1"} if container == "matroska" else {}
    stamps = [40 * n for n in range(24)]
    path = write(tmp_path / name, frames, stamps, options=options, container=container)
    rgb, _ = streamed(path)
    found = inspect(path, tmp_path / "cache")
    assert len(rgb) == found.frames == len(Video(found.path)) == 24
    assert np.array_equal(Video(found.path).frames(range(24)), rgb)
    assert int(np.abs(rgb.transpose(0, 2, 3, 1).astype(int) - frames).max()) <= 5


TURNS = {
    "as stored": (Orientation(), lambda p: p),
    "a quarter clockwise": (Orientation(transposed=True, mirrored=True), lambda p: np.rot90(p, -1)),
    "half": (Orientation(mirrored=True, upside_down=True), lambda p: np.rot90(p, 2)),
    "a quarter back": (Orientation(transposed=True, upside_down=True), np.rot90),
    "mirrored": (Orientation(mirrored=True), np.fliplr),
    "transposed": (Orientation(transposed=True), lambda p: p.transpose(1, 0, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", TURNS)
def test_pictures_are_turned_upright(name: str) -> None:
    turned, expected = TURNS[name]
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    np.testing.assert_array_equal(turned.upright(picture), expected(picture))


def test_frames_before_damage_are_given(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mkv", moving_square(40), [40 * n for n in range(40)])
    content = bytearray(path.read_bytes())
    middle = len(content) * 3 // 5
    content[middle : middle + 600] = np.random.default_rng(0).bytes(600)
    path.write_bytes(content)
    read, fault = read_through(VideoStream(path))
    frames = sum(len(pictures.rgb) for pictures in read)
    assert 20 < frames < 30  # not at the last eight or the last key frame before
    assert f"damaged after {frames} frames that decode" in fault


def test_a_playlist_named_as_a_video_leads_nowhere(tmp_path: Path) -> None:
    write(tmp_path / "other.ts", moving_square(10), [40 * n for n in range(10)])
    playlist = tmp_path / "list.mp4"
    playlist.write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/other.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises(DataError, match=r"list\.mp4"):
        VideoStream(playlist)


def test_memory_stays_flat_in_order(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    frames = np.broadcast_to(np.zeros((), np.uint8), (150, 720, 1280, 3))
    write(path, frames, [40 * n for n in range(150)])
    grown = []
    for pictures in VideoStream(path):
        grown.append(resident())
        assert len(pictures.rgb) <= 8
    assert grown[-1] - grown[3] < 60e6  # all frames would be 415 MB


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
