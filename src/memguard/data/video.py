"""Videos: read through decord, and frame folders turned into videos once.

Everything downstream sees only `Video`; a folder of images becomes one through `as_video`.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

import av
import decord
import numpy as np
import torch
import torch.nn.functional as F
from av.video.reformatter import ColorRange
from PIL import Image

from memguard.errors import DataError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
CONVERTED_FPS = 25
CONVERTED_KEYFRAME_INTERVAL = 12

# In seconds; headers are rounded, and some recorders count a frame or two too many.
LENGTH_TOLERANCE = 0.25

# An idle reader keeps tens of megabytes, opening one takes a few milliseconds.
OPEN_READERS = 16

# BT.601 in units of 1/2**15, as OpenCV has them; they add up to exactly 2**15.
RED, GREEN, BLUE = 9798, 19235, 3735

decord.logging.set_level(decord.logging.QUIET)


class Video:
    """A video file, read through decord.

    A `Video` holds its path and settings alone, so it is cheap to create and to pickle. The file
    is opened on first use, and anew in each process, forked or spawned. It is for use by one
    thread at a time.

    Args:
        path: The video file.
        frame_size: Height and width in pixels that frames are resized to; None: as stored.
        channels: 1 for grey frames (BT.601), 3 for RGB.

    Raises:
        DataError: There is no such file. A file that cannot be decoded is told on first use.
    """

    def __init__(self, path: Path, *, frame_size: int | None = None, channels: int = 3) -> None:
        if not path.is_file():
            raise DataError(f"{path}: there is no such video file; correct the path or restore it")
        self.path = path
        self.frame_size = frame_size
        self.channels = channels

    def __len__(self) -> int:
        """Return the number of frames."""
        with _damage_told(self.path):
            return len(_reader(self.path))

    @cached_property
    def fps(self) -> float:
        """Frames per second, on average, as stored."""
        with _damage_told(self.path):
            return float(_reader(self.path).get_avg_fps())

    @property
    def height(self) -> int:
        """Height of a frame in pixels, as stored."""
        return self._stored_size[0]

    @property
    def width(self) -> int:
        """Width of a frame in pixels, as stored."""
        return self._stored_size[1]

    @cached_property
    def _stored_size(self) -> tuple[int, int]:
        height, width, _ = self._decode([0]).shape[1:]
        return height, width

    def frames(self, indices: Sequence[int] | range) -> torch.Tensor:
        """Decode frames, in the order and as often as they are asked for.

        Args:
            indices: Frame numbers, from 0.

        Returns:
            uint8 (N, C, H, W).

        Raises:
            DataError: The file cannot be decoded.
            IndexError: A frame number lies past the end.
        """
        frames = torch.from_numpy(self._decode(indices)).permute(0, 3, 1, 2)
        if self.channels == 1:
            frames = _to_grey(frames)
        if self.frame_size is not None:
            frames = _resize(frames, self.frame_size)
        return frames.contiguous()

    def check(self) -> None:
        """Make sure that the file is whole, as far as its header, first and last frame tell.

        Raises:
            DataError: The file is damaged or cut off.
        """
        if len(self) == 0:
            raise DataError(f"{self.path}: this video has no frames; {_REMEDY}")
        self._decode([0, len(self) - 1])
        with _damage_told(self.path):
            missing = _missing_seconds(self.path)
        if missing > LENGTH_TOLERANCE:
            raise DataError(
                f"{self.path}: this video is cut off, {missing:.2f} s of what its header declares "
                f"are missing after {len(self)} frames; {_REMEDY}"
            )

    def _decode(self, indices: Sequence[int] | range) -> np.ndarray:
        """Return frames as stored: uint8 (N, H, W, 3), RGB."""
        with _damage_told(self.path):
            return _reader(self.path).get_batch(list(indices)).asnumpy()


_REMEDY = (
    "copy it again, re-encode it with `ffmpeg -i in -c:v libx264 out.mp4`, "
    "or take it out of its folder"
)


@lru_cache(maxsize=OPEN_READERS)
def _reader(path: Path) -> decord.VideoReader:
    return decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)


# A reader owns a thread; a forked child would inherit it dead and wait for it for ever on closing.
os.register_at_fork(before=_reader.cache_clear)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Turn what decord raises on a damaged file into a DataError."""
    try:
        yield
    except (decord.DECORDError, av.FFmpegError, RuntimeError) as error:
        raise DataError(f"{path}: this file cannot be decoded as a video; {_REMEDY}") from error


def _missing_seconds(path: Path) -> float:
    """Return how much shorter a video is than its header declares, in seconds.

    AVI and MP4 declare the number of frames, Matroska the duration of its longest stream; a file
    that declares neither counts as whole.
    """
    reader = _reader(path)
    with av.open(str(path)) as container:
        declared_frames = container.streams.video[0].frames
        if declared_frames:
            return (declared_frames - len(reader)) / reader.get_avg_fps()
        if container.duration is None or container.streams.audio:
            return 0.0
        _, end = reader.get_frame_timestamp(len(reader) - 1)
        return container.duration / av.time_base - float(end)


def _to_grey(frames: torch.Tensor) -> torch.Tensor:
    """Weigh RGB to grey, bit for bit as OpenCV does: uint8 (N, 3, H, W) to (N, 1, H, W)."""
    planes = frames.transpose(0, 1).to(torch.int32, memory_format=torch.contiguous_format)
    red, green, blue = planes
    grey = red.mul_(RED).add_(green, alpha=GREEN).add_(blue, alpha=BLUE)
    return grey.add_(2**14).bitwise_right_shift_(15).to(torch.uint8).unsqueeze(1)


def _resize(frames: torch.Tensor, size: int) -> torch.Tensor:
    """Resize to (size, size) as OpenCV's INTER_LINEAR does, within one level; uint8 NCHW."""
    # The fastest kernel for RGB as decord lays it out takes uint8, that for one plane float.
    if frames.shape[1] == 1:
        resized = F.interpolate(frames.float(), (size, size), mode="bilinear")
        return resized.round_().to(torch.uint8)
    return F.interpolate(frames, (size, size), mode="bilinear")


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths by name with numbers in names taken as numbers; hidden ones are left out."""

    def key(path: Path) -> tuple[list[str | int], str]:
        parts = re.split(r"(\d+)", path.name.lower())
        return [int(part) if part.isdecimal() else part for part in parts], path.name

    return sorted((path for path in paths if not path.name.startswith(".")), key=key)


def frame_images(folder: Path) -> list[Path]:
    """List the images of a frame folder in natural order, one per frame.

    Raises:
        DataError: There is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of frames; correct the path")
    images = natural_order(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise DataError(
            f"{folder}: this frame folder holds no image ({kinds}); add its frames or remove it"
        )
    return images


def as_video(source: Path, cache_dir: Path) -> Path:
    """Return a video file for a source, converting a folder of frames once, without loss.

    Args:
        source: A video file, which is returned as it is, or a folder with one image per frame.
        cache_dir: Where converted folders are kept; a folder that has changed converts anew.

    Raises:
        DataError: The source is missing or empty, an image is unreadable or of another size than
            the first one, or `cache_dir` cannot be written.
    """
    if source.is_file():
        return source
    images = frame_images(source)
    target = cache_dir / f"{source.name}-{_fingerprint(source, images)}.mp4"
    if target.exists():
        return target
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        # A name of its own until it is whole, so that nothing takes half a video for one.
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".converting-") as scratch:
            unfinished = Path(scratch) / target.name
            _write_lossless(images, unfinished)
            os.replace(unfinished, target)
    except OSError as error:
        raise DataError(
            f"{cache_dir}: frames cannot be converted into this folder ({error}); "
            "set paths.cache_dir to a folder that can be written and has space"
        ) from error
    return target


def _fingerprint(folder: Path, images: Sequence[Path]) -> str:
    digest = hashlib.sha256(os.fsencode(folder.absolute()))
    for image in images:
        stat = image.stat()
        digest.update(os.fsencode(f"\0{image.name}\0{stat.st_size}\0{stat.st_mtime_ns}"))
    return digest.hexdigest()


def _write_lossless(images: Sequence[Path], target: Path) -> None:
    # Grey frames often come as RGB images; told apart, they decode twice as fast.
    grey = all((frame == frame[..., :1]).all() for frame in _read_frames(images))
    codec: Literal["libx264", "libx264rgb"] = "libx264" if grey else "libx264rgb"
    pixels = "gray" if grey else "rgb24"
    height, width, _ = _read_image(images[0]).shape
    with av.open(str(target), "w") as container:
        stream = container.add_stream(
            codec,
            rate=CONVERTED_FPS,
            options={"qp": "0", "preset": "ultrafast"},
            height=height,
            width=width,
            pix_fmt=pixels,
            gop_size=CONVERTED_KEYFRAME_INTERVAL,
            # Without this, readers stretch grey from the 16..235 of television.
            color_range=ColorRange.JPEG,
        )
        for rgb in _read_frames(images):
            plane = np.ascontiguousarray(rgb[..., 0]) if grey else rgb
            frame = av.VideoFrame.from_ndarray(plane, format=pixels)
            frame.color_range = ColorRange.JPEG
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _read_frames(images: Sequence[Path]) -> Iterator[np.ndarray]:
    """Yield each image as uint8 (H, W, 3) RGB; all have the size of the first."""
    expected = None
    for path in images:
        frame = _read_image(path)
        height, width = frame.shape[:2]
        expected = expected or (height, width)
        if (height, width) != expected:
            raise DataError(
                f"{path}: this frame has {width}×{height} pixels, expected {expected[1]}×"
                f"{expected[0]} as in {images[0].name}; resize it or take it out of the folder"
            )
        yield frame


def _read_image(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(
                    f"{path}: this image has pixels of mode {image.mode}, expected 8 bits per "
                    "channel; convert the folder's images to 8 bits"
                )
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{path}: this image cannot be read; copy it again or take it out of the folder"
        ) from error
