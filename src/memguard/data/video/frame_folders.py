"""Folders with one image per frame, converted to video once and without loss."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream
from PIL import Image

from memguard.data.video.decoding import GREY_MARK
from memguard.errors import DataError, access_reported
from memguard.files import put_into_cache

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
CONVERTED_FPS = 25
# It divides the length of a stretch of windows: each stretch begins with a key frame.
CONVERTED_KEYFRAME_INTERVAL = 16
# Grey video up to this many bytes is not compressed: it decodes in a quarter of the time, and takes
# three times the space, which is little for short videos.
UNCOMPRESSED_UP_TO = 64 * 2**20

# The most problems to list for a folder; the number of further ones is reported as well.
LISTED_PROBLEMS = 10


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Sort paths by name, with numbers in names compared as numbers; leave out hidden files.

    Example:
        >>> [path.name for path in natural_order(map(Path, ["10.jpg", "2.jpg", ".2.jpg"]))]
        ['2.jpg', '10.jpg']
    """

    def key(path: Path) -> tuple[list[str | int], str]:
        parts = re.split(r"(\d+)", path.name.lower())
        return [int(part) if part.isdecimal() else part for part in parts], path.name

    return sorted((path for path in paths if not path.name.startswith(".")), key=key)


def frame_images(folder: Path) -> list[Path]:
    """List the images of a frame folder in natural order, one per frame.

    Raises:
        DataError: If there is no such folder, it cannot be read, or it holds no image.
    """
    with access_reported(folder):
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
    """Return a video file for a source; convert a folder of frames once, without loss.

    Args:
        source: A video file, returned unchanged, or a folder with one image per frame.
        cache_dir: The folder of converted videos; a changed source is converted again.

    Raises:
        DataError: If the source is missing or empty, its images are not one series without gaps,
            some are unreadable or differ in size, or `cache_dir` cannot be written. The message has
            a line for each problem.
    """
    if source.is_symlink() and not source.exists():
        raise DataError(f"{source}: this link leads nowhere; mend it or remove it")
    with access_reported(source):
        if source.is_file():
            return source
        if source.exists() and not source.is_dir():
            raise DataError(
                f"{source}: this is a pipe or a device, expected a video file or a folder of "
                "frames; take it out of its folder, or save what it gives as a video file"
            )
    images = frame_images(source)
    target = cache_dir / f"{source.name}-{fingerprint(source)}.mkv"
    if target.exists():
        return target
    grey = _survey(source, images)
    with put_into_cache(target) as unfinished:
        _write_lossless(images, unfinished, grey)
    return target


def fingerprint(source: Path) -> str:
    """Return a digest of the path, names, sizes and times of a video file or frame folder.

    Raises:
        DataError: If the source, or an image in it, cannot be read.
    """
    digest = hashlib.sha256(os.fsencode(source.absolute()))
    for file in [source] if source.is_file() else frame_images(source):
        with access_reported(file):
            stat = file.stat()
        digest.update(os.fsencode(f"\0{file.name}\0{stat.st_size}\0{stat.st_mtime_ns}"))
    return digest.hexdigest()


def _write_lossless(images: Sequence[Path], target: Path, grey: bool) -> None:
    """Write images as video that decodes to the same bits: uncompressed or lossless H.264."""
    height, width, _ = _read_image(images[0]).shape
    if grey and len(images) * height * width <= UNCOMPRESSED_UP_TO:
        codec, pixels = "rawvideo", "gray"
    elif grey:
        codec, pixels = "libx264", "gray"
    else:
        codec, pixels = "libx264rgb", "rgb24"
    with av.open(str(target), "w") as container:
        if grey:
            container.metadata["title"] = GREY_MARK
        stream = cast(VideoStream, container.add_stream(codec, rate=CONVERTED_FPS))
        stream.height, stream.width, stream.pix_fmt = height, width, pixels
        # Without this, readers expand grey levels from the range of television, 16..235.
        stream.codec_context.color_range = ColorRange.JPEG
        if codec != "rawvideo":
            stream.codec_context.options = {"qp": "0", "preset": "ultrafast"}
            stream.codec_context.gop_size = CONVERTED_KEYFRAME_INTERVAL
        for rgb in map(_read_image, images):
            plane = np.ascontiguousarray(rgb[..., 0]) if grey else rgb
            frame = av.VideoFrame.from_ndarray(plane, format=pixels)
            frame.color_range = ColorRange.JPEG
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _survey(folder: Path, images: Sequence[Path]) -> bool:
    """Check the images of a frame folder, and return whether all of them are grey.

    Grey frames are often stored as RGB images; converted to grey video they decode twice as fast.
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
    """Yield the gaps of a series of images, from their names alone."""
    kinds = Counter(image.suffix.lower() for image in images)
    if len(kinds) > 1:
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        yield (
            f"{folder}: found images of several kinds ({found}), expected one kind; take out those "
            "that are no frames"
        )
    numbered = [re.fullmatch(r"(.*?)(\d+)", image.stem) for image in images]
    names = [(match[1], int(match[2])) for match in numbered if match]
    # Some datasets have every n-th frame: all steps must be equal.
    if len(names) < len(images) or len({prefix for prefix, _ in names}) > 1:
        return
    steps = [after - before for (_, before), (_, after) in pairwise(names)]
    usual = min((step for step in steps if step > 0), default=1)
    for (before, after), step in zip(pairwise(images), steps, strict=True):
        if step != usual:
            yield (
                f"{folder}: {after.name} comes after {before.name}, expected numbers in steps of "
                f"{usual}; restore the frames that are missing, or number them again"
            )


def _read_image(path: Path) -> np.ndarray:
    try:
        if not path.is_file():
            raise OSError  # a pipe would be waited for
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
