"""Frames decoded and resized once and kept, on disk or in memory, for epochs to come.

A kept video has what windows ask of a `Video`, its length and its frames by number, and gives the
same values: a run does not change by keeping frames, it only decodes less.
"""

import hashlib
import os
import tempfile
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from memguard.data.video import Video
from memguard.errors import DataError

CHUNK = 256  # frames decoded at a time


class FramesOnDisk:
    """The frames of a video in a memory-mapped file.

    Holds the path alone, so that it is cheap to pickle; each process maps the file on first use,
    and all share the machine's one copy of it.

    Args:
        path: A file that :func:`keep_on_disk` wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __getstate__(self) -> dict[str, Path]:
        """Leave the map behind."""
        return {"path": self.path}

    @cached_property
    def _frames(self) -> np.ndarray:
        return np.load(self.path, mmap_mode="r")

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def frames(self, indices: range) -> Tensor:
        """Copy successive frames out of the file: uint8 (N, C, H, W)."""
        return torch.from_numpy(self._frames[indices.start : indices.stop].copy())


class FramesInMemory:
    """The frames of a video in memory that all processes of the loader share.

    Args:
        frames: uint8 (N, C, H, W).
    """

    def __init__(self, frames: Tensor) -> None:
        self._frames = frames.share_memory_()

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def frames(self, indices: range) -> Tensor:
        """View successive frames: uint8 (N, C, H, W)."""
        return self._frames[indices.start : indices.stop]


def keep_in_memory(video: Video) -> FramesInMemory:
    """Decode a whole video into memory.

    Raises:
        DataError: The file cannot be decoded.
    """
    return FramesInMemory(video.frames(range(len(video))))


def keep_on_disk(video: Video, cache_dir: Path) -> FramesOnDisk:
    """Decode a whole video into a file, where that was not done before.

    Args:
        video: The video; its frame size and channels are part of what is kept.
        cache_dir: Where kept frames lie; a video file that has changed is decoded anew.

    Raises:
        DataError: The file cannot be decoded, or `cache_dir` cannot be written.
    """
    target = cache_dir / f"{video.path.stem}-{_fingerprint(video)}.npy"
    if target.exists():
        return FramesOnDisk(target)
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        # A name of its own until it is whole, so that nothing takes half of it for all.
        with tempfile.TemporaryDirectory(dir=cache_dir, prefix=".keeping-") as scratch:
            unfinished = Path(scratch) / target.name
            _decode_into(video, unfinished)
            os.replace(unfinished, target)
    except OSError as error:
        raise DataError(
            f"{cache_dir}: decoded frames cannot be kept in this folder ({error}); set "
            "paths.cache_dir to a folder that can be written and has space, or dataset.cache=none"
        ) from error
    return FramesOnDisk(target)


def _decode_into(video: Video, path: Path) -> None:
    # Written through a file and not through the map: a full disk then raises, and does not kill.
    shape = (len(video), *video.frames([0]).shape[1:])
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(video), CHUNK):
            frames = video.frames(range(start, min(start + CHUNK, len(video))))
            file.write(frames.numpy().data)


def _fingerprint(video: Video) -> str:
    stat = video.path.stat()
    parts = (video.path.absolute(), stat.st_size, stat.st_mtime_ns, video.frame_size)
    return hashlib.sha256(repr((*parts, video.channels)).encode()).hexdigest()
