"""Video files that are playable up to their last fragment, however they end."""

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from memguard.data.video.encoded import EncodedPicture, PictureFormat

# Without an index that grows in memory; each fragment is on disk at once, within a second or so.
OPTIONS = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "frag_duration": "1000000",
    "flush_packets": "1",
}

# The unit of the times of copied pictures, seconds.
TICK = Fraction(1, 1000)

# FFmpeg crashes where a disk has no room for the first bytes of a file.
ROOM = 2**19


class _FragmentedFile:
    """An MP4 of one stream of pictures.

    Args:
        path: The file.

    Raises:
        OSError: The disk has no room for it.
    """

    def __init__(self, path: Path) -> None:
        if shutil.disk_usage(path.parent).free < ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        self._container = av.open(str(path), "w", options=OPTIONS)
        self._path, self._failed = path, False

    def close(self) -> None:
        """End the file.

        Raises:
            OSError: The last pictures cannot be written.
        """
        try:
            if not self._failed:  # else FFmpeg crashes
                self._container.mux(self._waiting())
            self._container.close()
        except OSError:
            self._failed = True
            raise
        finally:
            if self._failed:
                remove_torn_fragment(self._path)

    def _waiting(self) -> "Sequence[av.Packet[Any]]":
        """Return the packets that are not written yet."""
        return ()

    def _mux(self, packets: "Sequence[av.Packet[Any]]") -> None:
        try:
            self._container.mux(packets)
        except OSError:
            self._failed = True
            raise


class FragmentedVideo(_FragmentedFile):
    """Write an MP4 (H.264, yuv420p) frame by frame. All frames have the size of the first.

    Args:
        path: The file.
        rate: Frames per second.
        time_base: The unit of the times of frames, seconds; None: frames have no times.
        encoder: Options of the encoder.

    Raises:
        OSError: The disk has no room for it.
    """

    def __init__(
        self,
        path: Path,
        rate: Fraction | int,
        time_base: Fraction | None = None,
        encoder: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(path)
        self._stream = self._container.add_stream("libx264", rate, options=dict(encoder or {}))
        self._stream.pix_fmt = "yuv420p"
        if time_base:
            self._stream.codec_context.time_base = time_base
        self._frames = 0

    def add(self, frame: av.VideoFrame) -> None:
        """Encode and write the next frame.

        Raises:
            OSError: It cannot be written; the file has the frames before.
        """
        if self._frames == 0:
            self._stream.width, self._stream.height = _even(frame.width), _even(frame.height)
        self._frames += 1
        self._mux(self._stream.encode(frame))

    def _waiting(self) -> "Sequence[av.Packet[Any]]":
        return self._stream.encode() if self._frames else ()


class CopiedVideo(_FragmentedFile):
    """Write an MP4 of pictures that a camera has encoded.

    Args:
        path: The file.
        picture_format: The format of the pictures.

    Raises:
        OSError: The disk has no room for it.
    """

    def __init__(self, path: Path, picture_format: PictureFormat) -> None:
        super().__init__(path)
        height, width, self._parameters = picture_format
        self._stream = self._container.add_mux_stream("h264", width=width, height=height)
        self._began: float | None = None
        self._decoded = -1

    def add(self, picture: EncodedPicture) -> None:
        """Write the next picture; the first one is a key frame.

        Raises:
            OSError: It cannot be written; the file has the pictures before.
        """
        content = picture.content
        if self._began is None:
            self._began = picture.seconds - picture.early
            content = self._parameters + content
        shown = round((picture.seconds - self._began) / TICK)
        self._decoded = max(shown - round(picture.early / TICK), self._decoded + 1)
        packet = av.Packet(content)
        packet.stream, packet.time_base, packet.is_keyframe = self._stream, TICK, picture.is_key
        packet.pts, packet.dts = max(shown, self._decoded), self._decoded
        self._mux([packet])


def remove_torn_fragment(path: Path) -> None:
    """Remove the piece of a fragment at the end of a file, as a full disk or a kill leaves it.

    A file without a whole fragment is removed.

    Raises:
        OSError: The file cannot be written.
    """
    box, whole = 0, 0
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        while box < size:
            file.seek(box)
            head = file.read(8)
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            box += length
            if length < 8 or box > size:
                break
            if kind in (b"mdat", b"mfra"):  # the pictures of a fragment, or the end of the file
                whole = box
        file.truncate(whole)
    if whole == 0:
        path.unlink()


def _even(side: int) -> int:
    """Round down to the sides that yuv420p has."""
    return max(side - side % 2, 2)
