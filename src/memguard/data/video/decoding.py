"""Decode files in order through PyAV: turn every frame upright, and stop at damage."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideData
from av.stream import Disposition
from av.video.stream import VideoStream

from memguard.data.video.timing import frame_rate
from memguard.errors import DataError, access_reported

# By default a decoder conceals damage and continues.
STOP_AT_DAMAGE = {"err_detect": "crccheck+explode"}

# A file with the suffix of a video may be a playlist, which must not open other addresses.
NOTHING_BUT_THE_FILE = {"protocol_whitelist": "file"}

DECODER_ERRORS = (av.FFmpegError, RuntimeError, ValueError, MemoryError)

# Each thread of some decoders holds pictures; their number bounds the memory.
THREADS = 4

# Seconds. Headers are rounded, and some recorders count a frame or two too many.
LENGTH_TOLERANCE = 0.25

# The title of a video converted from grey frames. Its format does not say so: grey H.264 decodes to
# three planes, too.
GREY_MARK = "memguard: three equal channels"

REMEDY = (
    "copy it again, re-encode it with `ffmpeg -i in -c:v libx264 out.mp4`, "
    "or take it out of its folder"
)


@dataclass(frozen=True)
class Contents:
    """A summary of the packets of a video file.

    Attributes:
        packets: The number of visible pictures; a few may share a packet.
        fps: Frames per second, on average.
        missing_seconds: The seconds that its header declares and the file lacks.
    """

    packets: int
    fps: float
    missing_seconds: float


@contextmanager
def opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video file, and find the stream of its pictures.

    Raises:
        DataError: If the file cannot be read, or is no video.
    """
    with access_reported(path), path.open("rb"):
        pass
    try:
        container = av.open(str(path), options=NOTHING_BUT_THE_FILE)
    except DECODER_ERRORS as error:
        raise DataError(f"{path}: this file cannot be decoded as a video; {REMEDY}") from error
    with container:
        yield container, _pictures(path, container)


def _pictures(path: Path, container: InputContainer) -> VideoStream:
    """Find the stream of pictures; the cover of an audio file is none."""
    for stream in container.streams.video:
        if stream.codec_context is not None and Disposition.attached_pic not in stream.disposition:
            return stream
    raise DataError(f"{path}: this file has no video stream that decodes; {REMEDY}")


def contents(path: Path) -> Contents:
    """Summarise the packets of a video file, without decoding them.

    AVI and MP4 declare the number of pictures, Matroska the duration of its longest stream; a file
    that declares neither counts as whole.

    Raises:
        DataError: If the file cannot be read, or is no video.
    """
    with opened(path) as (container, stream):
        stored = shown = 0
        times = []
        tick = float(stream.time_base or 0)
        try:
            for packet in container.demux(stream):
                if packet.size == 0 and packet.dts is None:  # the end
                    continue
                stored += 1
                if not packet.is_discard:  # an edit list leaves it out
                    shown += 1
                    times += [packet.pts * tick] if packet.pts is not None else []
        except DECODER_ERRORS:  # decoding reports it, after all frames before
            pass
        declared = (stream.average_rate, stream.guessed_rate, stream.base_rate)
        fps = frame_rate(times, declared, tick)
        missing = 0.0
        if stream.frames:
            missing = (stream.frames - stored) / fps
        elif container.duration is not None and not container.streams.audio and times:
            missing = container.duration / av.time_base - max(times) - 1 / fps
        return Contents(shown, fps, missing)


def require_whole(path: Path, found: Contents, frames: int) -> None:
    """Reject a file that is shorter than its header declares.

    Args:
        path: The file, for the error.
        found: The summary of its packets.
        frames: The number of frames that decode, for the error.

    Raises:
        DataError: If the file is cut off.
    """
    if found.missing_seconds > LENGTH_TOLERANCE:
        raise DataError(
            f"{path}: this video is cut off, {found.missing_seconds:.2f} s of what its header "
            f"declares are missing after {frames} frames; {REMEDY}"
        )


def no_frames(path: Path) -> DataError:
    """Return the error for an empty video."""
    return DataError(
        f"{path}: this video has no frames; record it again, or take it out of its folder"
    )


@dataclass(frozen=True)
class Picture:
    """A decoded frame.

    Attributes:
        rgb: uint8 (H, W, 3), upright.
        stamp: The time stamp of the frame, seconds; None if it has none.
    """

    rgb: np.ndarray
    stamp: float | None


def decoded(path: Path) -> Iterator[Picture]:
    """Decode a video file in order.

    Raises:
        DataError: If the file cannot be read, is no video, or has no frames; or, after all frames
            before, if the next one is damaged or has another size.
    """
    count, size, turned = 0, None, None
    with opened(path) as (container, stream):
        for frame in _frames(path, container, stream):
            turned = turned or orientation(frame)
            # With several threads a process forked later would hang when it frees them.
            rgb = turned.upright(frame.to_ndarray(format="rgb24", threads=1))
            height, width, _ = rgb.shape
            size = size or (width, height)
            if (width, height) != size:
                raise DataError(
                    f"{path}: frame {count} has {width}×{height} pixels, expected "
                    f"{size[0]}×{size[1]} as before; {REMEDY}"
                )
            yield Picture(rgb, frame.time)
            count += 1
    if count == 0:
        raise no_frames(path)


def _frames(path: Path, container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """Decode all frames up to the first damaged one."""
    decoder = stream.codec_context
    decoder.options = STOP_AT_DAMAGE
    decoder.thread_type = "SLICE"  # threads for whole frames lose those in work at an error
    decoder.thread_count = THREADS
    count = 0
    try:
        for packet in container.demux(stream):
            for frame in packet.decode():
                if frame.is_corrupt:
                    raise av.InvalidDataError(0, "a picture is damaged")
                yield frame
                count += 1
    except DECODER_ERRORS as error:
        if count == 0:
            raise DataError(f"{path}: this video has no frame that decodes; {REMEDY}") from error
        raise DataError(
            f"{path}: this video is damaged after {count} frames that decode; {REMEDY}"
        ) from error


@dataclass(frozen=True)
class Orientation:
    """The rotation and mirroring of the pictures of a file.

    Attributes:
        transposed: Swap rows and columns, before the rest.
        mirrored: Swap left and right.
        upside_down: Swap top and bottom.

    Example:
        >>> picture = np.arange(2).reshape(1, 2, 1).repeat(3, axis=2)
        >>> Orientation(mirrored=True).upright(picture)[..., 0]
        array([[1, 0]])
    """

    transposed: bool = False
    mirrored: bool = False
    upside_down: bool = False

    def upright(self, picture: np.ndarray) -> np.ndarray:
        """Turn a picture, (H, W, 3), upright."""
        if self.transposed:
            picture = picture.transpose(1, 0, 2)
        rows = slice(None, None, -1 if self.upside_down else 1)
        columns = slice(None, None, -1 if self.mirrored else 1)
        return np.ascontiguousarray(picture[rows, columns])


def orientation(frame: av.VideoFrame) -> Orientation:
    """Read how a frame is rotated and mirrored.

    PyAV holds a frame and its side data in a reference cycle, which delays the release of memory.
    Therefore one frame of a file is read, not each.

    Source: FFmpeg's ``libavutil/display.h``: (x, y) is shown at (a·x + c·y, b·x + d·y).
    """
    matrix = cast(SideData | None, frame.side_data.get("DISPLAYMATRIX"))
    if matrix is None:
        return Orientation()
    a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), "<i4").tolist()
    if abs(a) < abs(c):
        return Orientation(transposed=True, mirrored=c < 0, upside_down=b < 0)
    return Orientation(mirrored=a < 0, upside_down=d < 0)
