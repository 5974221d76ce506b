"""Video files that are playable up to their last fragment, however they end."""

import errno
import os
import shutil
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

import av

# Without an index that grows in memory; each fragment is on disk at once.
OPTIONS = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof",
    "flush_packets": "1",
}

# FFmpeg crashes where a disk has no room for the first bytes of a file.
ROOM = 2**19


class FragmentedVideo:
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
        if shutil.disk_usage(path.parent).free < ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        self._container = av.open(str(path), "w", options=OPTIONS)
        self._stream = self._container.add_stream("libx264", rate, options=dict(encoder or {}))
        self._stream.pix_fmt = "yuv420p"
        if time_base:
            self._stream.codec_context.time_base = time_base
        self._path, self._frames, self._failed = path, 0, False

    def add(self, frame: av.VideoFrame) -> None:
        """Encode and write the next frame.

        Raises:
            OSError: It cannot be written; the file has the frames before.
        """
        if self._frames == 0:
            self._stream.width, self._stream.height = _even(frame.width), _even(frame.height)
        self._frames += 1
        try:
            self._container.mux(self._stream.encode(frame))
        except OSError:
            self._failed = True
            raise

    def close(self) -> None:
        """Write the frames that the encoder still has.

        Raises:
            OSError: They cannot be written.
        """
        try:
            if self._frames and not self._failed:  # else FFmpeg crashes
                self._container.mux(self._stream.encode())
            self._container.close()
        except OSError:
            self._failed = True
            raise
        finally:
            if self._failed:
                remove_torn_fragment(self._path)


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
