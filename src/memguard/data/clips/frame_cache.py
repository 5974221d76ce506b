"""Frames decoded and resized once and kept, on disk or in memory, for epochs to come.

A kept video has what windows ask of a `Video`, its length and its frames by number, and gives the
same values: a run does not change by keeping frames, it only decodes less.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from memguard.data.video.frame_folders import fingerprint
from memguard.data.video.reader import Video
from memguard.data.video.reading import DECORD_BYTES
from memguard.files import put_into_cache

CHUNK = 256  # frames decoded at a time

# What all videos that are decoded side by side may take at the size that they are stored in. A
# decoder of large pictures holds about a dozen of them.
DECODED_BYTES = 512 * 2**20
HELD_PICTURES = 12


class FramesOnDisk:
    """The frames of a video in a memory-mapped file.

    All processes that map it share the machine's one copy.

    Args:
        path: A file that :func:`keep_on_disk` wrote.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

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
    """The frames of a video in memory.

    Args:
        frames: uint8 (N, C, H, W).
    """

    def __init__(self, frames: Tensor) -> None:
        self._frames = frames

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self._frames)

    def frames(self, indices: range) -> Tensor:
        """View successive frames: uint8 (N, C, H, W)."""
        return self._frames[indices.start : indices.stop]


def keep(
    videos: Sequence[Video], where: Literal["disk", "ram"], cache_dir: Path
) -> list[FramesOnDisk] | list[FramesInMemory]:
    """Decode whole videos, several at a time, with a progress bar.

    Args:
        videos: The videos; their frame size and channels are part of what is kept.
        where: On disk, where that was not done before, or in memory.
        cache_dir: Where kept frames lie on disk.

    Raises:
        DataError: A file cannot be decoded, or `cache_dir` cannot be written.
    """
    # Threads will do: decoders and torch let others run while they work.
    with ThreadPoolExecutor(_side_by_side(videos)) as pool:
        done: Iterator[Any] = pool.map(
            keep_in_memory if where == "ram" else partial(keep_on_disk, cache_dir=cache_dir), videos
        )
        return list(track(done, f"Decoding to {where}", total=len(videos), transient=True))


def _side_by_side(videos: Sequence[Video]) -> int:
    """Count how many of these videos fit in memory while they are decoded, one per core at most."""
    each = max(DECORD_BYTES, *(HELD_PICTURES * video.frame_bytes for video in videos), 0)
    return max(min(os.cpu_count() or 1, DECODED_BYTES // each), 1)


def keep_in_memory(video: Video) -> FramesInMemory:
    """Decode a whole video into memory.

    Raises:
        DataError: The file cannot be decoded.
    """
    return FramesInMemory(torch.cat(list(_decoded(video))))


def keep_on_disk(video: Video, cache_dir: Path) -> FramesOnDisk:
    """Decode a whole video into a file, where that was not done before.

    Args:
        video: The video.
        cache_dir: Where kept frames lie; a video file that has changed is decoded anew.

    Raises:
        DataError: The file cannot be decoded, or `cache_dir` cannot be written.
    """
    settings = f"{video.frame_size}x{video.channels}"
    target = cache_dir / f"{video.path.stem}-{fingerprint(video.path)}-{settings}.npy"
    if not target.exists():
        with put_into_cache(target) as unfinished:
            _decode_into(video, unfinished)
    return FramesOnDisk(target)


def _decoded(video: Video) -> Iterator[Tensor]:
    """Yield a video in parts, as full size frames of all of it may not fit into memory."""
    for start in range(0, len(video), CHUNK):
        yield video.frames(range(start, min(start + CHUNK, len(video))))


def _decode_into(video: Video, path: Path) -> None:
    # Written through a file and not through a map: a full disk then raises, and does not kill.
    shape = (len(video), *video.frames([0]).shape[1:])
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for frames in _decoded(video):
            file.write(frames.numpy().data)
