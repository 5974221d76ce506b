"""Pictures of a file or a camera in order, a few at once."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from memguard.data.video.decoding import Picture, contents, decoded, no_frames, require_whole
from memguard.data.video.timing import Clock
from memguard.errors import DataError

# A few pictures, large ones within the memory, keep an encoder busy.
AT_A_TIME = 8
BYTES_AT_A_TIME = 48 * 2**20


class Pictures(NamedTuple):
    """Successive pictures.

    Attributes:
        rgb: uint8 (N, 3, H, W), as stored.
        first: The number of the first picture, from 0.
        seconds: (N,), the time of each picture since the beginning.
        follows: Whether the first picture directly follows the one before; if not, pictures between
            them are lost.
        times: The time of day at which each picture was captured; None in a recording.
    """

    rgb: np.ndarray
    first: int
    seconds: list[float]
    follows: bool
    times: list[datetime] | None = None


class Interruption(NamedTuple):
    """The beginning of an outage of a camera.

    Attributes:
        seconds: The time at which pictures stopped coming, since the beginning of the stream.
        reason: The cause, as far as it is known.
    """

    seconds: float
    reason: str


class Stream(Protocol):
    """A source of pictures."""

    @property
    def name(self) -> str:
        """The name of the stream in results."""
        ...

    @property
    def fps(self) -> float:
        """Pictures per second."""
        ...

    @property
    def length(self) -> int | None:
        """The expected number of pictures; None if unknown."""
        ...

    @property
    def dropped(self) -> int:
        """The number of pictures that were dropped so far, because scoring is too slow."""
        ...

    @property
    def torn(self) -> int:
        """The number of torn pictures so far, which are left out."""
        ...

    def __iter__(self) -> Iterator[Pictures | Interruption]:
        """Yield all pictures in order, and each outage once, when it begins."""
        ...


class VideoStream:
    """The pictures of a video file, read through PyAV, with constant memory for any length.

    Args:
        path: The file.
        name: The name in results; None: the name of the file.

    Raises:
        DataError: If there is no such file, it does not decode, or it has no picture; or, after all
            pictures before, if the next one does not decode, or the file is cut off.
    """

    dropped = torn = 0  # a torn picture is an error

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
        """Yield all pictures in order."""
        clock, first = Clock(self.fps), 0
        for batch in _batches(decoded(self._path)):
            rgb = np.stack([picture.rgb for picture in batch])
            seconds = [clock(picture.stamp) for picture in batch]
            yield Pictures(rgb.transpose(0, 3, 1, 2), first, seconds, follows=first > 0)
            first += len(batch)
        require_whole(self._path, self._contents, first)


def _batches(pictures: Iterator[Picture]) -> Iterator[list[Picture]]:
    """Yield a few pictures at once, and those before an error before it."""
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
