"""Pictures in the order in which they were filmed, from a file or a camera, a few at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from memguard.data.video.decoding import Picture, contents, decoded, no_frames, require_whole
from memguard.data.video.timing import Clock
from memguard.errors import DataError

# So few that those of a large picture fit into memory, so many that an encoder has work.
AT_A_TIME = 8
BYTES_AT_A_TIME = 48 * 2**20


class Pictures(NamedTuple):
    """Successive pictures.

    Attributes:
        rgb: uint8 (N, 3, H, W), as stored.
        first: The number of the first, from 0.
        seconds: (N,), when each was filmed, since the beginning.
        follows: Whether the first comes right after the last one before it; otherwise what was in
            between is lost.
    """

    rgb: Tensor
    first: int
    seconds: list[float]
    follows: bool


class Stream(Protocol):
    """Where pictures come from."""

    @property
    def name(self) -> str:
        """What to call it."""
        ...

    @property
    def fps(self) -> float:
        """Pictures per second."""
        ...

    @property
    def length(self) -> int | None:
        """How many pictures there are, as far as is known; None where nobody knows."""
        ...

    def __iter__(self) -> Iterator[Pictures]:
        """Yield all of them, in order."""
        ...


class VideoStream:
    """The pictures of a video file, through PyAV: memory stays flat, however long it is.

    Args:
        path: The file.
        name: What to call it; None: as the file.

    Raises:
        DataError: There is no such file, it does not decode, or there is no picture in it. While it
            is read: what follows does not decode, or is cut off; all that comes before was given.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        if not path.is_file():
            raise DataError(f"{path}: there is no such video file; correct the path or restore it")
        self.name = name or path.stem
        self._path = path
        self._contents = contents(path)
        if self._contents.packets == 0:
            raise no_frames(path)
        next(decoded(path))
        self.length = self._contents.packets
        self.fps = self._contents.fps

    def __iter__(self) -> Iterator[Pictures]:
        """Yield all of them, in order."""
        clock, first = Clock(self.fps), 0
        for batch in _batches(decoded(self._path)):
            rgb = torch.from_numpy(np.stack([picture.rgb for picture in batch]))
            seconds = [clock(picture.stamp) for picture in batch]
            yield Pictures(rgb.permute(0, 3, 1, 2), first, seconds, follows=first > 0)
            first += len(batch)
        require_whole(self._path, self._contents, first)


def _batches(pictures: Iterator[Picture]) -> Iterator[list[Picture]]:
    """Yield a few pictures at a time; where an error ends them, those before it as well."""
    batch: list[Picture] = []
    try:
        for picture in pictures:
            batch.append(picture)
            if len(batch) == AT_A_TIME or sum(p.rgb.nbytes for p in batch) >= BYTES_AT_A_TIME:
                yield batch
                batch = []
    except DataError:
        if batch:
            yield batch
        raise
    if batch:
        yield batch
