"""Video files made fit for random access: where decord gives other frames than PyAV, converted.

Scoring decodes in order through PyAV; training needs frames by number, through decord. Both must
see the same pictures, or a model is scored on others than it has learned. So each file is decoded
through PyAV once and compared; a file that decord does not know, counts, orders, turns or colours
differently becomes another one in the cache, once and without loss.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange

from memguard.data.video.decoding import Contents, contents, decoded, opened, require_whole
from memguard.data.video.frame_folders import CONVERTED_KEYFRAME_INTERVAL, fingerprint
from memguard.data.video.reader import Video
from memguard.errors import DataError
from memguard.files import put_into_cache

# Frames that are compared: those at the beginning, where decoders differ in order, and as many
# again over the whole video.
COMPARED = 16
# Of each, pixels on a grid; and by how many grey levels they may differ, as decoders round: one
# level of a colour difference is two of blue, and these round once more.
PIXELS = 2**16
ROUNDING = 3


@dataclass(frozen=True)
class Survey:
    """What a video file shows when it is decoded in order.

    Attributes:
        contents: What its packets say.
        frames: How many decode.
        height: Of a frame in pixels, upright.
        width: Of a frame in pixels, upright.
        samples: Pixels of some frames, by number: uint8 (rows, columns, 3).
    """

    contents: Contents
    frames: int
    height: int
    width: int
    samples: dict[int, np.ndarray]


def survey(path: Path) -> Survey:
    """Decode a whole video once, and keep a few of its pixels.

    Damage after which the stream is still a valid one, such as a changed bit within a picture that
    decodes to another picture, is not found.

    Raises:
        DataError: The file cannot be read, is no video, has no frames, is damaged or cut off, or
            its frames differ in size.
    """
    found = contents(path)
    spread = np.linspace(0, max(found.packets - 1, 0), COMPARED).round().astype(int)
    chosen = {*range(COMPARED), *spread.tolist()}
    samples: dict[int, np.ndarray] = {}
    frames, height, width = 0, 0, 0
    for number, picture in enumerate(decoded(path)):
        height, width, _ = picture.rgb.shape
        last = grid(picture.rgb)
        if number in chosen:
            samples[number] = last
        frames = number + 1
    samples[frames - 1] = last
    require_whole(path, found, frames)
    return Survey(found, frames, height, width, samples)


def grid(picture: np.ndarray) -> np.ndarray:
    """Take pixels of a picture on a regular grid, so many at most that all samples fit in memory.

    Args:
        picture: uint8 (H, W, 3).

    Returns:
        uint8 (rows, columns, 3), a copy.
    """
    height, width, _ = picture.shape
    step = 1
    while (height // step) * (width // step) > PIXELS:
        step += 1
    return picture[::step, ::step].copy()


def difference(path: Path, found: Survey) -> str | None:
    """Say how frames by number differ from those in order; None if they agree.

    Args:
        path: The file that decord is to open.
        found: What the frames are in order.
    """
    try:
        video = Video(path)
        if len(video) != found.frames:
            return f"random access counts {len(video)} frames instead of {found.frames}"
        for number, expected in sorted(found.samples.items()):
            picture = video.frames([number])[0].permute(1, 2, 0).numpy()
            if picture.shape != (found.height, found.width, 3):
                return f"random access gives frames of {picture.shape[1]}×{picture.shape[0]} pixels"
            distance = np.abs(grid(picture).astype(int) - expected).max()
            if distance > ROUNDING:
                return f"random access gives frame {number} up to {distance} grey levels apart"
    except (DataError, IndexError):
        return "random access does not decode it"
    return None


def fit_for_random_access(source: Path, cache_dir: Path, found: Survey) -> tuple[Path, str]:
    """Return a video file whose frames by number are those that the source gives in order.

    Args:
        source: A video file.
        cache_dir: Where converted files are kept; a source that has changed converts again.
        found: What the source shows.

    Returns:
        The source itself or a file in the cache; and why it was converted, "" if it was not.

    Raises:
        DataError: It cannot be converted, or `cache_dir` cannot be written.
    """
    reason = difference(source, found)
    if reason is None:
        return source, ""
    target = cache_dir / f"{source.stem}-{fingerprint(source)}.mkv"
    if target.exists() and difference(target, found) is None:
        return target, reason
    for convert in (_copy_packets, _encode):
        if _converted(convert, source, target, found):
            return target, reason
    raise DataError(
        f"{source}: {reason}, and it cannot be converted; re-encode it with "
        "`ffmpeg -i in -c:v libx264 out.mp4`, or take it out of its folder"
    )


class _StillDifferentError(Exception):
    """A converted file that does not show what its source does."""


def _converted(
    convert: Callable[[Path, Path, Survey], None], source: Path, target: Path, found: Survey
) -> bool:
    """Convert a file, and keep the result if it shows what the source does."""
    try:
        with put_into_cache(target) as unfinished:
            convert(source, unfinished, found)
            if difference(unfinished, found) is not None:
                raise _StillDifferentError
    except (
        _StillDifferentError,
        av.FFmpegError,
        ValueError,
    ):  # a coding that Matroska does not take
        return False
    return True


def _copy_packets(source: Path, target: Path, found: Survey) -> None:
    """Put the same coded pictures into Matroska: small and fast, and often all that is needed."""
    with opened(source) as (container, stream), av.open(str(target), "w") as out:
        copy = out.add_stream_from_template(stream)
        duration = 1 / (found.contents.fps * float(stream.time_base or 1))
        for number, packet in enumerate(container.demux(stream)):
            if packet.size == 0:
                continue
            if packet.pts is None:  # a bare stream has no times
                packet.pts = packet.dts = round(number * duration)
            packet.stream = copy
            out.mux(packet)


def _encode(source: Path, target: Path, found: Survey) -> None:
    """Write the pictures as lossless H.264, upright."""
    with av.open(str(target), "w") as out:
        rate = Fraction(found.contents.fps).limit_denominator(1001)
        stream = out.add_stream("libx264rgb", rate=rate)
        stream.height, stream.width, stream.pix_fmt = found.height, found.width, "rgb24"
        stream.codec_context.color_range = ColorRange.JPEG
        stream.codec_context.options = {"qp": "0", "preset": "ultrafast"}
        stream.codec_context.gop_size = CONVERTED_KEYFRAME_INTERVAL
        for frame in _frames(source):
            out.mux(stream.encode(frame))
        out.mux(stream.encode())


def _frames(source: Path) -> Iterator[av.VideoFrame]:
    for picture in decoded(source):
        frame = av.VideoFrame.from_ndarray(picture.rgb, format="rgb24")
        frame.color_range = ColorRange.JPEG
        yield frame
