import gc
import os
import pickle
import shutil
from multiprocessing.context import ForkContext, SpawnContext
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from memguard.data.frames import as_video, frame_images, natural_order
from memguard.data.video import OPEN_READERS, Video
from memguard.errors import DataError

FRAMES = 50


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write_images(folder: Path, frames: np.ndarray, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number}{suffix}")
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


def decoded(path: Path) -> np.ndarray:
    video = Video(path)
    return video.frames(range(len(video))).permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def colour_frames() -> np.ndarray:
    return noise(30, 46, 62, 3)


@pytest.fixture(scope="module")
def colour_video(tmp_path_factory: pytest.TempPathFactory, colour_frames: np.ndarray) -> Path:
    folder = tmp_path_factory.mktemp("colour")
    return as_video(write_images(folder / "frames", colour_frames), folder / "cache")


@pytest.mark.parametrize("size", [(46, 62), (47, 63), (3, 33)])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_converted_frames_decode_bit_exactly(
    tmp_path: Path, size: tuple[int, int], channels: tuple[int, ...]
) -> None:
    frames = noise(15, *size, *channels)
    frames[0].flat[:6] = [0, 1, 127, 128, 254, 255]
    path = as_video(write_images(tmp_path / "frames", frames), tmp_path / "cache")
    expected = frames if channels else np.repeat(frames[..., None], 3, axis=-1)
    np.testing.assert_array_equal(decoded(path), expected)


def test_every_grey_level_survives_conversion(tmp_path: Path) -> None:
    levels = np.tile(np.arange(256, dtype=np.uint8), (3, 16, 1))
    path = as_video(write_images(tmp_path / "frames", levels), tmp_path / "cache")
    np.testing.assert_array_equal(decoded(path)[..., 0], levels)


def test_colour_after_grey_frames_is_kept(tmp_path: Path) -> None:
    frames = np.repeat(noise(4, 16, 32, 1), 3, axis=-1)
    frames[3, 5, 5] = (10, 200, 30)
    path = as_video(write_images(tmp_path / "frames", frames), tmp_path / "cache")
    np.testing.assert_array_equal(decoded(path), frames)


def test_real_grey_frames_are_stored_as_grey_and_decode_bit_exactly(
    real_data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for image in frame_images(real_data / "ped2" / "testing" / "frames" / "03")[:25]:
        shutil.copy(image, folder)
    path = as_video(folder, tmp_path / "cache")
    with av.open(str(path)) as container:
        assert container.streams.video[0].pix_fmt != "gbrp"
    expected = np.stack([np.asarray(Image.open(image)) for image in frame_images(folder)])
    np.testing.assert_array_equal(decoded(path), expected)


def test_frames_come_as_asked_for(colour_video: Path, colour_frames: np.ndarray) -> None:
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


def test_grey_equals_opencv(colour_video: Path, colour_frames: np.ndarray) -> None:
    grey = Video(colour_video, channels=1).frames(range(30))
    expected = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in colour_frames])
    np.testing.assert_array_equal(grey[:, 0].numpy(), expected)


def test_grey_of_equal_channels_is_the_channel(tmp_path: Path) -> None:
    levels = np.tile(np.arange(256, dtype=np.uint8), (2, 16, 1))
    path = as_video(write_images(tmp_path / "frames", levels), tmp_path / "cache")
    np.testing.assert_array_equal(Video(path, channels=1).frames([0, 1])[:, 0].numpy(), levels)


@pytest.mark.parametrize("size", [24, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_resize_is_within_one_level_of_opencv(colour_video: Path, size: int, channels: int) -> None:
    stored = Video(colour_video, channels=channels).frames(range(5))
    assert_resized_as_opencv(stored, Video(colour_video, frame_size=size, channels=channels))


@pytest.mark.parametrize("channels", [1, 3])
def test_resize_of_real_frames_is_within_one_level_of_opencv(
    real_data: Path, channels: int
) -> None:
    path = real_data / "avenue" / "testing_videos" / "08.avi"
    stored = Video(path, channels=channels).frames(range(5))
    assert_resized_as_opencv(stored, Video(path, frame_size=256, channels=channels))


def assert_resized_as_opencv(stored: torch.Tensor, video: Video) -> None:
    resized = video.frames(range(len(stored)))
    height, width = resized.shape[-2:]
    for before, after in zip(stored, resized, strict=True):
        picture = np.ascontiguousarray(before.permute(1, 2, 0).numpy())
        expected = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
        difference = after.permute(1, 2, 0).numpy().astype(int) - expected.reshape(
            height, width, -1
        )
        assert np.abs(difference).max() <= 1
        assert (difference != 0).mean() < 0.5


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


def test_missing_video_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.mp4: there is no such video"):
        Video(tmp_path / "gone.mp4")


@pytest.mark.parametrize("content", [b"", b"this is text, not a video\n" * 50])
def test_what_is_no_video_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    video = Video(path)
    for use in (video.check, lambda: len(video), lambda: video.fps, lambda: video.frames([0])):
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
    Video(path).check()
    cut_off = truncate(Path(shutil.copy(path, tmp_path / f"cut_off_{name}")), share)
    with pytest.raises(DataError, match=f"cut_off_{name}"):
        Video(cut_off).check()


def test_check_catches_damage_within(tmp_path: Path) -> None:
    path = write_video(tmp_path / "x.mp4", "libx264")
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + half // 2] = noise(half // 2).tobytes()
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.mp4"):
        Video(path).check()


def test_real_videos_are_whole(real_data: Path) -> None:
    Video(real_data / "avenue" / "training_videos" / "12.avi").check()
    Video(real_data / "avenue" / "testing_videos" / "08.avi").check()


def test_video_file_is_its_own_video(colour_video: Path, tmp_path: Path) -> None:
    assert as_video(colour_video, tmp_path / "cache") == colour_video
    assert not (tmp_path / "cache").exists()


def test_unchanged_folder_converts_once(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "frames", noise(3, 16, 16))
    path = as_video(folder, tmp_path / "cache")
    written = path.stat().st_mtime_ns
    assert as_video(folder, tmp_path / "cache") == path
    assert path.stat().st_mtime_ns == written
    assert list((tmp_path / "cache").iterdir()) == [path]


@pytest.mark.parametrize("change", ["touched", "renamed", "added", "replaced"])
def test_changed_folder_converts_anew(tmp_path: Path, change: str) -> None:
    folder = write_images(tmp_path / "frames", noise(3, 16, 16))
    path = as_video(folder, tmp_path / "cache")
    if change == "touched":
        os.utime(folder / "0.png", ns=(0, 0))
    elif change == "renamed":
        (folder / "0.png").rename(folder / "3.png")
    elif change == "added":
        shutil.copy(folder / "0.png", folder / "3.png")
    else:
        Image.fromarray(noise(16, 16, seed=1)).save(folder / "1.png")
    assert as_video(folder, tmp_path / "cache") != path


def test_folders_of_one_name_do_not_mix(tmp_path: Path) -> None:
    one = write_images(tmp_path / "a" / "01", noise(2, 16, 16, seed=1))
    other = Path(shutil.copytree(one, tmp_path / "b" / "01"))
    assert as_video(one, tmp_path / "cache") != as_video(other, tmp_path / "cache")


def test_interrupted_conversion_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_images(tmp_path / "frames", noise(3, 16, 16))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        as_video(folder, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_frames_come_in_natural_order(tmp_path: Path) -> None:
    frames = np.stack([np.full((16, 32), level, np.uint8) for level in range(12)])
    path = as_video(write_images(tmp_path / "frames", frames), tmp_path / "cache")
    assert decoded(path)[:, 0, 0, 0].tolist() == list(range(12))


def test_natural_order_of_names() -> None:
    names = ["img10.png", "img2.png", ".hidden.png", "IMG1.png", "a.png", "3.png", "003.png"]
    ordered = [path.name for path in natural_order(Path(name) for name in names)]
    assert ordered == ["003.png", "3.png", "a.png", "IMG1.png", "img2.png", "img10.png"]


def test_missing_and_empty_folders_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: there is no such folder"):
        as_video(tmp_path / "gone", tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").touch()
    with pytest.raises(DataError, match=r"empty: .*no image"):
        as_video(empty, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_unreadable_image_is_told(tmp_path: Path, content: bytes | None) -> None:
    folder = write_images(tmp_path / "frames", noise(3, 64, 64), suffix=".jpg")
    bad = folder / "1.jpg"
    bad.write_bytes(bad.read_bytes()[:700] if content is None else content)
    with pytest.raises(DataError, match=r"1\.jpg: this image cannot be read"):
        as_video(folder, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_image_of_sixteen_bits_is_told(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "frames", noise(2, 16, 16).astype(np.uint16) * 256)
    with pytest.raises(DataError, match=r"0\.png: .*8 bits"):
        as_video(folder, tmp_path / "cache")


def test_odd_frame_size_is_told(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "frames", noise(4, 16, 24))
    Image.fromarray(noise(18, 20)).save(folder / "2.png")
    with pytest.raises(DataError, match=r"2\.png: .*20×18 pixels, expected 24×16 as in 0\.png"):
        as_video(folder, tmp_path / "cache")


def test_unwritable_cache_is_told(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "frames", noise(2, 16, 16))
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/cache: .*set paths\.cache_dir"):
        as_video(folder, tmp_path / "file" / "cache")
