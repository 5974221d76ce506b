"""Video files, read by frame number. All datasets are read through these."""

import gc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from threading import get_ident

import decord
import numpy as np
import torch

from memguard.data.video.decoding import DECODER_ERRORS, GREY_MARK, REMEDY, contents
from memguard.data.video.fitting import fitted
from memguard.data.video.frame_size import FrameSize
from memguard.data.video.packets import Packets, packets
from memguard.data.video.random_access import batch, decord_may_open, pictures
from memguard.errors import DataError

# An idle reader holds the frames that it has decoded ahead, at most all of its file. To open one
# takes a few milliseconds.
OPEN_READERS = 8

# Frames to decode at once: so few stay in the cache of the processor until they are resized.
AT_A_TIME = 4

decord.logging.set_level(decord.logging.QUIET)


class Video:
    """A video file, read through decord or, if its pictures are large, through PyAV.

    A `Video` holds its path and settings alone, and is cheap to create and to pickle. Each thread
    and each process, forked or spawned, opens the file on first use. Few pictures are in memory at
    once, for any length of the video: see :mod:`memguard.data.video.random_access`.

    Args:
        path: The video file.
        frame_size: Side of the square to resize frames to, or height and width, pixels; None: as
            stored.
        channels: 1 for grey frames (BT.601), 3 for RGB.

    Raises:
        DataError: If there is no such file. The first use reports a file that cannot be decoded.
    """

    def __init__(
        self, path: Path, *, frame_size: FrameSize | None = None, channels: int = 3
    ) -> None:
        if not path.is_file():
            raise DataError(f"{path}: there is no such video file; correct the path or restore it")
        self.path = path
        self.frame_size = frame_size
        self.channels = channels

    def __len__(self) -> int:
        """Return the number of frames."""
        with _damage_reported(self.path):
            found = packets(self.path)
            if decord_may_open(found):
                return len(_reader(self.path, get_ident()))
            return found.frames

    @cached_property
    def fps(self) -> float:
        """Frames per second, on average; see :func:`memguard.data.video.timing.frame_rate`."""
        return contents(self.path).fps

    @property
    def height(self) -> int:
        """Height of a frame in pixels, as stored."""
        return self._stored_size[0]

    @property
    def width(self) -> int:
        """Width of a frame in pixels, as stored."""
        return self._stored_size[1]

    @property
    def frame_bytes(self) -> int:
        """Size of a frame as stored, decoded to RGB."""
        with _damage_reported(self.path):
            return packets(self.path).frame_bytes

    @cached_property
    def _stored_size(self) -> tuple[int, int]:
        height, width, _ = next(self._pictures([0])).shape
        return height, width

    def frames(self, indices: Sequence[int] | range) -> torch.Tensor:
        """Decode frames in the requested order; repeated numbers are allowed.

        Args:
            indices: Frame numbers, from 0.

        Returns:
            uint8 (N, C, H, W).

        Raises:
            DataError: If the file cannot be decoded.
            IndexError: If a frame number is past the end.
        """
        decoded = self._pictures(list(indices))
        return fit(decoded, frame_size=self.frame_size, channels=self.channels)

    def _pictures(self, indices: Sequence[int]) -> Iterator[np.ndarray]:
        """Decode frames as stored, uint8 (H, W, 3), RGB; or (H, W, 1) if marked as grey."""
        with _damage_reported(self.path):
            found = packets(self.path)
            channels = 1 if found.title == GREY_MARK else 3
            for picture in self._stored(found, indices):
                yield picture[..., :channels]

    def _stored(self, found: Packets, indices: Sequence[int]) -> Iterator[np.ndarray]:
        if decord_may_open(found):
            reader = _reader(self.path, get_ident())
            for at in range(0, len(indices), AT_A_TIME):
                yield from batch(reader, indices[at : at + AT_A_TIME])
            return
        if not all(0 <= index < found.frames for index in indices):
            raise IndexError(f"{self.path}: frames are numbered from 0 to {found.frames - 1}")
        for run in _runs(indices):
            yield from pictures(self.path, found, run)


def _runs(indices: Sequence[int]) -> Iterator[range]:
    """Split frame numbers into runs of successive numbers."""
    start = 0
    for stop in range(1, len(indices) + 1):
        if stop == len(indices) or indices[stop] != indices[stop - 1] + 1:
            yield range(indices[start], indices[stop - 1] + 1)
            start = stop


@lru_cache(maxsize=OPEN_READERS)
def _reader(path: Path, thread: int) -> decord.VideoReader:
    """Open a video, once for each thread: a reader serves one thread."""
    return decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)


# A reader owns a thread. It is dead in a forked child, which would wait for it forever on closing:
# the child has no reader, and does not collect one that is its parent's garbage.
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(before=_reader.cache_clear, after_in_child=gc.freeze)


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    """Turn the errors of decord and PyAV on a damaged file into a DataError."""
    try:
        yield
    except (decord.DECORDError, *DECODER_ERRORS) as error:
        raise DataError(f"{path}: this file cannot be decoded as a video; {REMEDY}") from error


def fit(
    pictures: Iterable[np.ndarray], *, frame_size: FrameSize | None, channels: int
) -> torch.Tensor:
    """Convert stored pictures to frames; see :func:`~memguard.data.video.fitting.fitted`.

    Returns:
        uint8 (N, C, H, W).

    Example:
        >>> picture = np.zeros((240, 360, 3), np.uint8)
        >>> fit([picture], frame_size=[64, 96], channels=1).shape
        torch.Size([1, 1, 64, 96])
    """
    frames = fitted(pictures, frame_size=frame_size, channels=channels)
    return torch.from_numpy(frames).permute(0, 3, 1, 2).contiguous()
