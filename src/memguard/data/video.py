"""Videos, read through decord. Everything downstream sees only these."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from pathlib import Path
from threading import get_ident
from typing import NamedTuple

import av
import cv2
import decord
import numpy as np
import torch

from memguard.data.decoding import REMEDY, contents
from memguard.errors import DataError

# An idle reader keeps some fifty megabytes, opening one takes a few milliseconds.
OPEN_READERS = 8

# Frames decoded at a time: so few stay within the processor's cache until they are resized.
AT_A_TIME = 4

RGB = 3

# What a video says of itself that we converted from grey frames. Its format does not tell: H.264
# without colours decodes into three planes all the same.
GREY_MARK = "memguard: three equal channels"

decord.logging.set_level(decord.logging.QUIET)


class Video:
    """A video file, read through decord.

    A `Video` holds its path and settings alone, so it is cheap to create and to pickle. The file
    is opened on first use, and anew in each thread and each process, forked or spawned.

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
            return len(_reader(self.path, get_ident()).frames)

    @cached_property
    def fps(self) -> float:
        """Frames per second, on average; see :func:`memguard.data.timing.frame_rate`."""
        return contents(self.path).fps

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
        indices = list(indices)
        parts = [indices[at : at + AT_A_TIME] for at in range(0, len(indices), AT_A_TIME)]
        pictures = (picture for part in parts for picture in self._decode(part))
        return fit(pictures, frame_size=self.frame_size, channels=self.channels)

    def _decode(self, indices: Sequence[int]) -> np.ndarray:
        """Return frames as stored, uint8 (N, H, W, 3), RGB; or (N, H, W, 1) if marked as grey."""
        with _damage_told(self.path):
            reader = _reader(self.path, get_ident())
            decoded = _batch(reader.frames, indices)
            return decoded[..., :1] if reader.grey else decoded


class _Reader(NamedTuple):
    """An open video.

    Attributes:
        frames: What decodes it.
        grey: Whether it says that its three channels are equal.
    """

    frames: decord.VideoReader
    grey: bool


@lru_cache(maxsize=OPEN_READERS)
def _reader(path: Path, thread: int) -> _Reader:
    """Open a video, once for each thread: a reader is for use by one at a time."""
    frames = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
    with av.open(str(path)) as container:
        return _Reader(frames, container.metadata.get("title") == GREY_MARK)


# A reader owns a thread; a forked child would inherit it dead and wait for it for ever on closing.
os.register_at_fork(before=_reader.cache_clear)


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    """Turn what decord and PyAV raise on a damaged file into a DataError."""
    try:
        yield
    except (decord.DECORDError, av.FFmpegError, RuntimeError, ValueError, MemoryError) as error:
        raise DataError(f"{path}: this file cannot be decoded as a video; {REMEDY}") from error


def _batch(frames: decord.VideoReader, indices: Sequence[int]) -> np.ndarray:
    """Decode frames with decord, which takes the padding of some narrow rows for channels.

    Returns:
        uint8 (N, H, W, 3).
    """
    try:
        return frames.get_batch(indices).asnumpy()
    except decord.DECORDError:
        padded = np.stack([frames[index].asnumpy() for index in indices])
        count, height, width, channels = padded.shape
        if channels == RGB:
            raise
        rows = padded.reshape(count, height, width * channels)[..., : width * RGB]
        return np.ascontiguousarray(rows).reshape(count, height, width, RGB)


def fit(pictures: Iterable[np.ndarray], *, frame_size: int | None, channels: int) -> torch.Tensor:
    """Turn pictures as stored into frames, grey if asked for, and resized, as OpenCV does both.

    The published figures rest on its bilinear resize, without antialiasing.

    Args:
        pictures: uint8 (H, W, 3), RGB, or (H, W, 1), grey.
        frame_size: Height and width that they are resized to, pixels; None: as stored.
        channels: 1 for grey, 3 for RGB.

    Returns:
        uint8 (N, C, H, W).
    """
    frames = [_fitted(picture, frame_size, channels) for picture in pictures]
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()


def _fitted(picture: np.ndarray, frame_size: int | None, channels: int) -> np.ndarray:
    grey = picture.shape[2] == 1
    if channels == 1 and not grey:
        picture = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY)
    if frame_size is not None:
        picture = cv2.resize(np.ascontiguousarray(picture), (frame_size, frame_size))
    picture = np.atleast_3d(picture)  # OpenCV leaves out a single channel
    return picture.repeat(3, axis=2) if grey and channels == 3 else picture
