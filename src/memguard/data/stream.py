"""Pictures in the order in which they were filmed, from a file or a camera, a few at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from torch import Tensor

from memguard.data.video import Video
from memguard.errors import DataError

# So few that those of a large picture fit into memory, so many that an encoder has work.
AT_A_TIME = 8


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
        """How many pictures there are; None where nobody knows."""
        ...

    def __iter__(self) -> Iterator[Pictures]:
        """Yield all of them, in order."""
        ...


class VideoStream:
    """The pictures of a video file, through decord.

    Args:
        path: The file.
        name: What to call it; None: as the file.

    Raises:
        DataError: There is no such file, it does not decode, or there is no picture in it. While it
            is read: what follows does not decode, or is cut off; all that comes before was given.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.name = name or path.stem
        self._video = Video(path)
        self.length = len(self._video)
        if self.length == 0:
            raise DataError(f"{path}: this video has no frames; record it again")
        self.fps = self._video.fps

    def __iter__(self) -> Iterator[Pictures]:
        """Yield all of them, in order."""
        for first in range(0, self.length, AT_A_TIME):
            yield from self._decoded(range(first, min(first + AT_A_TIME, self.length)))
        self._video.require_whole()

    def _decoded(self, numbers: range) -> Iterator[Pictures]:
        try:
            rgb, seconds = self._video.frames(numbers), self._video.seconds(numbers)
        except DataError:
            if len(numbers) == 1:
                raise
            # those before the damage
            for number in numbers:
                yield from self._decoded(range(number, number + 1))
            return
        yield Pictures(rgb, numbers.start, seconds, follows=numbers.start > 0)
