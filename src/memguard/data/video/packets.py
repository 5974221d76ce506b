"""The index of a video file: the times of its frames, from its packets, without decoding."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from memguard.data.video.decoding import Orientation, opened, orientation
from memguard.errors import access_reported

# Each file is indexed once; an hour of video takes a megabyte.
KNOWN_FILES = 256

RGB = 3

# Seconds. A container without an index seeks to a place nearby, which may be too late.
EARLIER = (0, 1, 4, 16, 64)


@dataclass(frozen=True)
class Packets:
    """The index of a video file.

    Attributes:
        frames: The number of visible frames.
        stamps: (frames,) int64, rising, the time stamp of each frame in units of the file; None if
            some frames have none, and frames are found by counting.
        starts: (n,) int64, rising, the stamps at which decoding may begin.
        frame_bytes: Bytes of a frame decoded to RGB.
        codec: The name of the decoder.
        title: The title in the file's metadata.
        orientation: The rotation of the frames.
    """

    frames: int
    stamps: np.ndarray | None
    starts: np.ndarray
    frame_bytes: int
    codec: str
    title: str
    orientation: Orientation

    def start(self, frame: int) -> int | None:
        """Return the stamp at which to begin decoding for a frame; None: at the first packet."""
        if self.stamps is None:
            return None
        before = int(np.searchsorted(self.starts, self.stamps[frame], side="right"))
        return int(self.starts[before - 1]) if before else None


def packets(path: Path) -> Packets:
    """Index the packets of a video file, once until the file changes.

    Raises:
        DataError: If the file cannot be read, or is no video.
        av.FFmpegError: If the file is damaged.
    """
    with access_reported(path):
        stat = path.stat()
    return _packets(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=KNOWN_FILES)
def _packets(path: Path, changed: int, size: int) -> Packets:
    stamps: list[int] = []
    starts: list[int] = []
    frames, unstamped, first = 0, 0, None
    with opened(path) as (container, stream):
        context = stream.codec_context
        for packet in container.demux(stream):
            if packet.size == 0:  # the end
                continue
            shown = not packet.is_discard  # an edit list leaves some out
            frames += shown
            if packet.pts is None:
                unstamped += 1
            else:
                stamps += [packet.pts] if shown else []
                starts += [packet.pts] if packet.is_keyframe else []
            if first is None:
                with suppress(av.FFmpegError):
                    first = next(iter(packet.decode()), None)
        distinct = np.unique(np.asarray(stamps, np.int64))
        return Packets(
            frames=frames,
            stamps=distinct if len(distinct) == frames and not unstamped else None,
            starts=np.unique(np.asarray(starts, np.int64)),
            frame_bytes=RGB * context.height * context.width,
            codec=context.name,
            title=container.metadata.get("title", ""),
            orientation=Orientation() if first is None else orientation(first),
        )


def packets_from(
    container: InputContainer, stream: VideoStream, start: int | None
) -> Iterator["av.Packet[VideoStream]"]:
    """Read packets in decoding order, from a key frame to the empty last packet.

    Args:
        container: The open file.
        stream: The stream of its pictures.
        start: One of `Packets.starts`; None: the first packet.
    """
    read = _landed(container, stream, start) if start is not None else container.demux(stream)
    started = start is None
    for packet in read:
        if packet.size == 0:
            yield packet  # the end
            return
        started = started or packet.pts == start
        # Frames stored after the first but shown before it need frames stored before it.
        if started and (start is None or packet.pts is None or packet.pts >= start):
            yield packet


def _landed(
    container: InputContainer, stream: VideoStream, start: int
) -> Iterator["av.Packet[VideoStream]"]:
    """Read packets from the one with this stamp, or from an earlier one."""
    tick = float(stream.time_base or 1)
    for earlier in EARLIER:
        container.seek(start - round(earlier / tick), stream=stream)
        read = container.demux(stream)
        first = next(read)
        if first.pts == start or (earlier and first.pts is not None and first.pts < start):
            break
    return chain([first], read)
