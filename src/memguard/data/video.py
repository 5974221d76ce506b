"""Videos: read through decord, and frame folders turned into videos once.

Everything downstream sees only `Video`; a folder of images becomes one through `as_video`.
"""

import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from itertools import pairwise
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

# Of the problems that the images of one folder have; how many more there are is told as well.
LISTED_PROBLEMS = 10

# A decoder paints over damage and goes on, unless it is told to stop.
STOP_AT_DAMAGE = {"err_detect": "crccheck+explode"}

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
        """Make sure that the file is whole and sound, by decoding all of it once.

        Damage after which the stream is still a valid one, such as a changed bit within a picture
        that decodes to another picture, cannot be told.

        Raises:
            DataError: The file cannot be read, is damaged or cut off, its frames differ in size,
                or decord counts other frames than there are.
        """
        with _access_told(self.path), self.path.open("rb"):
            pass
        with _damage_told(self.path):
            frames = _decode_strictly(self.path)
        if frames == 0:
            raise DataError(f"{self.path}: this video has no frames; {_REMEDY}")
        if frames != len(self):
            raise DataError(
                f"{self.path}: this video decodes to {frames} frames, but {len(self)} are stored, "
                f"so that labels would not meet their frames; {_REMEDY}"
            )
        self._decode([0, frames - 1])
        with _damage_told(self.path):
            missing = _missing_seconds(self.path)
        if missing > LENGTH_TOLERANCE:
            raise DataError(
                f"{self.path}: this video is cut off, {missing:.2f} s of what its header declares "
                f"are missing after {frames} frames; {_REMEDY}"
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
    """Turn what decord and PyAV raise on a damaged file into a DataError."""
    try:
        yield
    except (decord.DECORDError, av.FFmpegError, RuntimeError, ValueError, MemoryError) as error:
        raise DataError(f"{path}: this file cannot be decoded as a video; {_REMEDY}") from error


@contextmanager
def _access_told(path: Path) -> Iterator[None]:
    """Turn what the system raises on a file or folder that may not be read into a DataError."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path}: this cannot be read ({error.strerror}); correct its permissions, or restore "
            "what it links to"
        ) from error


def _decode_strictly(path: Path) -> int:
    """Decode a whole file, stop at damage that decord would pass over, and count the frames."""
    frames = 0
    size = None
    with av.open(str(path)) as container:
        stream = next(iter(container.streams.video), None)
        if stream is None or stream.codec_context is None:  # a codec that nobody knows
            raise DataError(f"{path}: this file has no video stream that decodes; {_REMEDY}")
        stream.codec_context.options = STOP_AT_DAMAGE
        try:
            for frame in container.decode(stream):
                if frame.is_corrupt:
                    raise av.InvalidDataError(0, "a picture is damaged")
                size = size or (frame.width, frame.height)
                if (frame.width, frame.height) != size:
                    raise DataError(
                        f"{path}: frame {frames} has {frame.width}×{frame.height} pixels, expected "
                        f"{size[0]}×{size[1]} as before; {_REMEDY}"
                    )
                frames += 1
        except av.FFmpegError as error:
            raise DataError(
                f"{path}: this video is damaged after {frames} frames that decode; {_REMEDY}"
            ) from error
    return frames


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
        DataError: There is no such folder, it cannot be read, or there is no image in it.
    """
    with _access_told(folder):
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
        DataError: The source is missing or empty, its images are not one series without gaps, some
            are unreadable or differ in size, or `cache_dir` cannot be written. The message has a
            line for each problem.
    """
    if source.is_symlink() and not source.exists():
        raise DataError(f"{source}: this link leads nowhere; mend it or remove it")
    with _access_told(source):
        if source.is_file():
            return source
    images = frame_images(source)
    target = cache_dir / f"{source.name}-{fingerprint(source)}.mp4"
    if target.exists():
        return target
    grey = _survey(source, images)
    with written_whole(target) as unfinished:
        _write_lossless(images, unfinished, grey)
    return target


def fingerprint(source: Path) -> str:
    """Name the present content of a video file or frame folder, by place, names, sizes and times.

    Raises:
        DataError: The source, or an image in it, cannot be read.
    """
    digest = hashlib.sha256(os.fsencode(source.absolute()))
    for file in [source] if source.is_file() else frame_images(source):
        with _access_told(file):
            stat = file.stat()
        digest.update(os.fsencode(f"\0{file.name}\0{stat.st_size}\0{stat.st_mtime_ns}"))
    return digest.hexdigest()


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yield a path to write a file to, which takes the target's place once it is whole.

    Raises:
        DataError: The target's folder cannot be written, or is full.
    """
    folder = target.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=_scratch(os.getpid())) as scratch:
            unfinished = Path(scratch) / target.name
            yield unfinished
            os.replace(unfinished, target)
    except OSError as error:
        raise DataError(
            f"{folder}: this folder cannot be written ({error}); "
            "set paths.cache_dir to a folder that can be written and has space"
        ) from error


def clear_unfinished(cache_dir: Path) -> None:
    """Remove what runs that were killed have left half-written in a cache folder."""
    for scratch in cache_dir.glob(f"{_scratch('*')}*"):
        if not _runs(int(scratch.name.split("-")[-2])):
            shutil.rmtree(scratch, ignore_errors=True)


def _scratch(process: int | str) -> str:
    """How the name of a folder begins that a process of this machine writes a file in."""
    return f".converting-{platform.node()}-{process}-"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _write_lossless(images: Sequence[Path], target: Path, grey: bool) -> None:
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
        for rgb in map(_read_image, images):
            plane = np.ascontiguousarray(rgb[..., 0]) if grey else rgb
            frame = av.VideoFrame.from_ndarray(plane, format=pixels)
            frame.color_range = ColorRange.JPEG
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _survey(folder: Path, images: Sequence[Path]) -> bool:
    """Look through a frame folder before it is converted, and tell whether all of it is grey.

    Grey frames often come as RGB images; told apart, they decode twice as fast.
    """
    problems = list(_series_problems(folder, images))
    grey = True
    first = None
    for path in images:
        try:
            frame = _read_image(path)
        except DataError as error:
            problems.append(str(error))
            continue
        size = frame.shape[1], frame.shape[0]
        first = first or (path.name, size)
        if size != first[1]:
            problems.append(
                f"{path}: this frame has {size[0]}×{size[1]} pixels, expected {first[1][0]}×"
                f"{first[1][1]} as in {first[0]}; resize it or take it out of the folder"
            )
        grey = grey and bool((frame == frame[..., :1]).all())
    if more := problems[LISTED_PROBLEMS:]:
        problems[LISTED_PROBLEMS:] = [f"{folder}: {len(more)} more problems like these"]
    if problems:
        raise DataError("\n".join(problems))
    return grey


def _series_problems(folder: Path, images: Sequence[Path]) -> Iterator[str]:
    """Tell from the names alone where images are not one series of frames."""
    kinds = Counter(image.suffix.lower() for image in images)
    if len(kinds) > 1:
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        yield (
            f"{folder}: found images of several kinds ({found}), expected one kind; take out those "
            "that are no frames"
        )
    numbered = [re.fullmatch(r"(.*?)(\d+)", image.stem) for image in images]
    names = [(match[1], int(match[2])) for match in numbered if match]
    # Some sets keep every n-th frame: what counts is that all steps are alike.
    if len(names) < len(images) or len({prefix for prefix, _ in names}) > 1:
        return
    steps = [after - before for (_, before), (_, after) in pairwise(names)]
    usual = min((step for step in steps if step > 0), default=1)
    for (before, after), step in zip(pairwise(images), steps, strict=True):
        if step != usual:
            yield (
                f"{folder}: {after.name} comes after {before.name}, expected numbers in steps of "
                f"{usual}; restore the frames that are missing, or number them anew"
            )


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
