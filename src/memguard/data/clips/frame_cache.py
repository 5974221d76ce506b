"""The frame cache: decoded and resized frames, on disk or in memory, for later epochs.

A cached video has the length and the frames of a `Video`, with the same values. The cache changes
no result of a run.
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
from memguard.data.video.frame_size import sides
from memguard.data.video.random_access import DECORD_BYTES
from memguard.data.video.reader import Video
from memguard.files import put_into_cache

CHUNK = 256  # frames to decode at once

# The most bytes of pictures that concurrent decoders may hold. A decoder of large pictures holds
# about a dozen of them.
DECODED_BYTES = 512 * 2**20
HELD_PICTURES = 12


class FramesOnDisk:
    """The frames of a video in a memory-mapped file.

    All processes of a machine share one copy.

    Args:
        path: A file of :func:`cache_on_disk`.
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
        """Copy successive frames, uint8 (N, C, H, W)."""
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
        """View successive frames, uint8 (N, C, H, W)."""
        return self._frames[indices.start : indices.stop]


def cache_frames(
    videos: Sequence[Video], where: Literal["disk", "ram"], cache_dir: Path
) -> list[FramesOnDisk] | list[FramesInMemory]:
    """Decode whole videos, several at once, with a progress bar.

    Args:
        videos: The videos, with the frame size and channels to cache.
        where: "disk" decodes the videos that are not cached yet; "ram" decodes all.
        cache_dir: The folder of cached frames on disk.

    Raises:
        DataError: If a file cannot be decoded, or `cache_dir` cannot be written.
    """
    # Threads suffice: decoders and PyTorch release the lock.
    with ThreadPoolExecutor(_side_by_side(videos)) as pool:
        done: Iterator[Any] = pool.map(
            cache_in_memory if where == "ram" else partial(cache_on_disk, cache_dir=cache_dir),
            videos,
        )
        return list(track(done, f"Decoding to {where}", total=len(videos), transient=True))


def _side_by_side(videos: Sequence[Video]) -> int:
    """Return how many videos to decode at once: within the memory, and at most one per core."""
    each = max(DECORD_BYTES, *(HELD_PICTURES * video.frame_bytes for video in videos), 0)
    return max(min(os.cpu_count() or 1, DECODED_BYTES // each), 1)


def cache_in_memory(video: Video) -> FramesInMemory:
    """Decode a whole video into memory.

    Raises:
        DataError: If the file cannot be decoded.
    """
    return FramesInMemory(torch.cat(list(_decoded(video))))


def cache_on_disk(video: Video, cache_dir: Path) -> FramesOnDisk:
    """Decode a whole video into a file, unless the file exists.

    Args:
        video: The video.
        cache_dir: The folder of cached frames; a changed video file is decoded again.

    Raises:
        DataError: If the file cannot be decoded, or `cache_dir` cannot be written.
    """
    size = () if video.frame_size is None else dict.fromkeys(sides(video.frame_size))
    settings = "x".join(map(str, (*size, video.channels)))
    target = cache_dir / f"{video.path.stem}-{fingerprint(video.path)}-{settings}.npy"
    if not target.exists():
        with put_into_cache(target) as unfinished:
            _decode_into(video, unfinished)
    return FramesOnDisk(target)


def _decoded(video: Video) -> Iterator[Tensor]:
    """Yield a video in parts: all its full size frames may not fit into memory."""
    for start in range(0, len(video), CHUNK):
        yield video.frames(range(start, min(start + CHUNK, len(video))))


def _decode_into(video: Video, path: Path) -> None:
    # A plain file raises an error on a full disk; a memory map would kill the process.
    shape = (len(video), *video.frames([0]).shape[1:])
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for frames in _decoded(video):
            file.write(frames.numpy().data)
