"""Frames of a video by number, with a few of them in memory at once, for any length of the video.

decord decodes ahead in a thread of its own, into a queue without bound: while a reader waits for a
frame, that thread decodes all packets that it can read, whether or not the reader takes their
frames. decord therefore opens only files whose frames all fit in memory, or an excerpt of a file
with the packets of a few frames. Both bounds also hold on a busy machine, where frames wait in the
queue. Few large pictures would fit, and each excerpt would decode again from the key frame before
it; these are read through PyAV, which decodes a frame when it is requested. All three ways return
the same values.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import av
import decord
import numpy as np
from av.video.reformatter import VideoReformatter

from memguard.data.video.decoding import Orientation, opened
from memguard.data.video.packets import RGB, Packets, packets_from

# The most bytes of frames that decord may hold for one reader.
DECORD_BYTES = 64 * 2**20

# The fewest frames of an excerpt, those of a stretch of windows with pictures up to 860×640.
# Shorter excerpts would decode many frames again.
EXCERPT_FRAMES = 40

# Codecs with one frame per packet in MP4.
EXCERPTED_CODECS = frozenset({"h264", "hevc", "mpeg4", "mpeg2video", "mjpeg"})


def decord_may_open(found: Packets) -> bool:
    """Return whether all frames of a file fit in memory: decord may decode all of them."""
    return found.frames * found.frame_bytes <= DECORD_BYTES


def batch(reader: decord.VideoReader, frames: Sequence[int]) -> np.ndarray:
    """Decode a few frames with decord.

    Returns:
        uint8 (N, H, W, 3), RGB.
    """
    try:
        return reader.get_batch(frames).asnumpy()
    except decord.DECORDError:
        padded = np.stack([reader[frame].asnumpy() for frame in frames])
        if padded.shape[-1] == RGB:
            raise
        return _unpadded(padded)


def _unpadded(decoded: np.ndarray) -> np.ndarray:
    """Remove the padding of some narrow rows, which decord treats as channels."""
    *some, height, width, channels = decoded.shape
    if channels == RGB:
        return decoded
    rows = decoded.reshape(*some, height, width * channels)[..., : width * RGB]
    return np.ascontiguousarray(rows).reshape(*some, height, width, RGB)


def pictures(path: Path, found: Packets, frames: range) -> Iterator[np.ndarray]:
    """Decode successive frames of a file of any length.

    Args:
        path: The file.
        found: The packets of the file.
        frames: The numbers of the frames.

    Yields:
        uint8 (H, W, 3), RGB.

    Raises:
        decord.DECORDError, av.FFmpegError: If a frame does not decode.
        ValueError: If a frame is missing.
    """
    at_a_time = DECORD_BYTES // max(found.frame_bytes, 1)
    if (
        at_a_time < EXCERPT_FRAMES
        or found.codec not in EXCERPTED_CODECS
        or found.stamps is None
        or found.orientation != Orientation()
    ):
        yield from _through_pyav(path, found, frames)
        return
    for start in range(frames.start, frames.stop, at_a_time):
        yield from _through_decord(path, found, frames[start - frames.start :][:at_a_time])


def _through_decord(path: Path, found: Packets, frames: range) -> Iterator[np.ndarray]:
    """Decode a few frames, which all fit in memory."""
    excerpt, before = _excerpt(path, found, frames)
    reader = decord.VideoReader(excerpt, ctx=decord.cpu(0), num_threads=1)
    if before:
        # decord drops them before it reads the first packet; they take no memory.
        reader.skip_frames(before)
    for _ in frames:
        yield _unpadded(reader.next().asnumpy())


def _excerpt(path: Path, found: Packets, frames: range) -> tuple[BytesIO, int]:
    """Copy the packets of some frames, unchanged, into a video of their own.

    Returns:
        The video, which ends with these frames, and the number of frames before them.
    """
    assert found.stamps is not None
    stamps = found.stamps[frames.start : frames.stop]
    missing = len(stamps)
    before = 0
    excerpt = BytesIO()
    # MP4 declares its number of frames; decord fails to compute it for other formats.
    with opened(path) as (container, stream), av.open(excerpt, "w", format="mp4") as copied:
        copy = copied.add_stream_from_template(stream)
        for packet in packets_from(container, stream, found.start(frames.start)):
            if packet.size == 0 or missing == 0:
                break
            before += packet.pts < stamps[0]
            missing -= stamps[0] <= packet.pts <= stamps[-1]
            packet.stream = copy
            copied.mux(packet)
    if missing:
        raise ValueError(f"{missing} frames are missing")
    excerpt.seek(0)
    return excerpt, before


def _through_pyav(path: Path, found: Packets, frames: range) -> Iterator[np.ndarray]:
    """Decode frames one by one."""
    to_rgb = VideoReformatter()
    wanted = frames.start
    with opened(path) as (container, stream):
        stream.codec_context.thread_count = 1  # windows are decoded in several threads
        read = packets_from(container, stream, found.start(frames.start))
        decoded = (frame for packet in read for frame in packet.decode())
        for count, frame in enumerate(decoded):
            number = count
            if found.stamps is not None and frame.pts is not None:
                number = bisect_left(found.stamps, frame.pts)
            if number > wanted:
                break
            if number == wanted:
                rgb = to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()
                yield found.orientation.upright(rgb)
                wanted += 1
            if wanted == frames.stop:
                return
    raise ValueError(f"frame {wanted} is missing")
