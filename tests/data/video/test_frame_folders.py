import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from memguard.data.video import frame_folders as frames_module
from memguard.data.video.frame_folders import as_video, frame_images, natural_order
from memguard.data.video.reader import Video
from memguard.errors import DataError


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def write_images(folder: Path, frames: np.ndarray, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number}{suffix}")
    return folder


def decoded(path: Path) -> np.ndarray:
    video = Video(path)
    return video.frames(range(len(video))).permute(0, 2, 3, 1).numpy()


def codec(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.name


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


@pytest.mark.parametrize(("limit", "expected"), [(2**20, "rawvideo"), (100, "h264")])
def test_every_grey_level_survives_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, expected: str
) -> None:
    monkeypatch.setattr(frames_module, "UNCOMPRESSED_UP_TO", limit)
    levels = np.tile(np.arange(256, dtype=np.uint8), (3, 16, 1))
    path = as_video(write_images(tmp_path / "frames", levels), tmp_path / "cache")
    assert codec(path) == expected
    assert next(Video(path)._pictures([0])).shape[-1] == 1  # the reader knows it as grey
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
    assert codec(path) == "rawvideo"
    expected = np.stack([np.asarray(Image.open(image)) for image in frame_images(folder)])
    np.testing.assert_array_equal(decoded(path), expected)


def test_video_file_is_its_own_video(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").touch()
    assert as_video(tmp_path / "x.mp4", tmp_path / "cache") == tmp_path / "x.mp4"
    assert not (tmp_path / "cache").exists()


def test_unchanged_folder_converts_once(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "frames", noise(3, 16, 16))
    path = as_video(folder, tmp_path / "cache")
    written = path.stat().st_mtime_ns
    assert as_video(folder, tmp_path / "cache") == path
    assert path.stat().st_mtime_ns == written
    assert list((tmp_path / "cache").iterdir()) == [path]


@pytest.mark.parametrize("change", ["touched", "renamed", "added", "replaced"])
def test_changed_folder_converts_again(tmp_path: Path, change: str) -> None:
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


def test_missing_and_empty_folders_are_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="gone: there is no such folder"):
        as_video(tmp_path / "gone", tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").touch()
    with pytest.raises(DataError, match=r"empty: .*no image"):
        as_video(empty, tmp_path)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_unreadable_image_is_reported(tmp_path: Path, content: bytes | None) -> None:
    folder = write_images(tmp_path / "frames", noise(3, 64, 64), suffix=".jpg")
    bad = folder / "1.jpg"
    bad.write_bytes(bad.read_bytes()[:700] if content is None else content)
    with pytest.raises(DataError, match=r"1\.jpg: this image cannot be read"):
        as_video(folder, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_image_of_sixteen_bits_is_rejected(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "frames", noise(2, 16, 16).astype(np.uint16) * 256)
    with pytest.raises(DataError, match=r"0\.png: .*8 bits"):
        as_video(folder, tmp_path / "cache")


def test_odd_frame_size_is_rejected(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "frames", noise(4, 16, 24))
    Image.fromarray(noise(18, 20)).save(folder / "2.png")
    with pytest.raises(DataError, match=r"2\.png: .*20×18 pixels, expected 24×16 as in 0\.png"):
        as_video(folder, tmp_path / "cache")


def test_unwritable_cache_is_reported(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "frames", noise(2, 16, 16))
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/cache: .*set paths\.cache_dir"):
        as_video(folder, tmp_path / "file" / "cache")


def test_a_pipe_is_refused_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "door.mp4")
    with pytest.raises(DataError, match=r"door\.mp4: this is a pipe or a device, expected a video"):
        as_video(tmp_path / "door.mp4", tmp_path / "cache")
    frames = write_images(tmp_path / "frames", noise(2, 8, 8))
    os.mkfifo(frames / "2.png")
    with pytest.raises(DataError, match=r"2\.png: this image cannot be read"):
        as_video(frames, tmp_path / "cache")
