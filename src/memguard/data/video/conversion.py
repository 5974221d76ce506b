"""Convert video files for random access, where decord returns other frames than PyAV.

Scoring decodes in order through PyAV; training reads frames by number through decord. Both must see
the same pictures. Each file is therefore decoded through PyAV once, and compared. A file that
decord cannot open, or counts, orders, turns or colours differently, is converted in the cache, once
and without loss.
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

# Number of frames to compare at the beginning, where decoders differ in order, and again over the
# whole video.
COMPARED = 16
# Pixels to compare of each, and the grey levels by which they may differ through rounding: one
# level of a colour difference is two levels of blue, and these are rounded again.
PIXELS = 2**16
ROUNDING = 3


@dataclass(frozen=True)
class Survey:
    """The result of decoding a video file in order.

    Attributes:
        contents: The summary of its packets.
        frames: The number of frames that decode.
        height: Height of an upright frame in pixels.
        width: Width of an upright frame in pixels.
        samples: Pixels of some frames by number, uint8 (rows, columns, 3).
    """

    contents: Contents
    frames: int
    height: int
    width: int
    samples: dict[int, np.ndarray]


def survey(path: Path) -> Survey:
    """Decode a whole video once, and store a few of its pixels.

    Damage that leaves the stream valid is not found, such as a changed bit that decodes to another
    picture.

    Raises:
        DataError: If the file cannot be read, is no video, has no frames, is damaged or cut off, or
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
    """Take pixels of a picture on a regular grid, few enough to hold all samples in memory.

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
    """Describe how frames by number differ from those in order; None if they agree.

    Args:
        path: The file to open through decord.
        found: The frames in order.
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
    """Return a video file whose frames by number are those of the source in order.

    Args:
        source: A video file.
        cache_dir: The folder of converted videos; a changed source is converted again.
        found: The frames of the source in order.

    Returns:
        The source itself or a file in the cache, and the reason of the conversion, "" for none.

    Raises:
        DataError: If the source cannot be converted, or `cache_dir` cannot be written.
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
    """A converted file has other frames than its source."""


def _converted(
    convert: Callable[[Path, Path, Survey], None], source: Path, target: Path, found: Survey
) -> bool:
    """Convert a file; return whether the result has the frames of the source."""
    try:
        with put_into_cache(target) as unfinished:
            convert(source, unfinished, found)
            if difference(unfinished, found) is not None:
                raise _StillDifferentError
    except (_StillDifferentError, av.FFmpegError, ValueError):
        return False  # such as a codec that Matroska does not support
    return True


def _copy_packets(source: Path, target: Path, found: Survey) -> None:
    """Copy the coded pictures into Matroska: small, fast, and often sufficient."""
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
