"""The encoded pictures of a camera as it sends them: those of the latest seconds."""

from collections import deque
from collections.abc import Sequence
from itertools import islice
from threading import Lock
from typing import NamedTuple

# Two minutes of a camera of three megabits a second.
MOST_BYTES = 48 * 2**20


class EncodedPicture(NamedTuple):
    """A picture in H.264, with start codes (Annex B).

    Attributes:
        content: Its bytes.
        seconds: The time of its capture.
        early: By how many seconds it is decoded before it is shown.
        is_key: Whether decoding can begin here.
    """

    content: bytes
    seconds: float
    early: float
    is_key: bool


class PictureFormat(NamedTuple):
    """The format of encoded pictures.

    Attributes:
        height: Pixels.
        width: Pixels.
        parameters: Sets of parameters that are not among the pictures, as SDP has them.
    """

    height: int
    width: int
    parameters: bytes


class Place(NamedTuple):
    """A place among the pictures of a format.

    Attributes:
        number: The number of the picture that is next.
        format: The format.
    """

    number: int
    format: PictureFormat


class _Key(NamedTuple):
    """A key frame that is held: its number, and its time."""

    number: int
    seconds: float


class EncodedPictures:
    """Hold the encoded pictures of the latest seconds, from a key frame on.

    One thread adds them, and another one takes them. If key frames are farther apart than these
    seconds, none are held.

    Args:
        seconds: The seconds to hold.

    Attributes:
        format: The format of the pictures; None: the camera sends none that can be copied.

    Example:
        >>> held = EncodedPictures(seconds=1.0)
        >>> held.begin(PictureFormat(48, 64, b""))
        >>> pictures = [EncodedPicture(b"picture", n / 2, 0.0, n % 2 == 0) for n in range(8)]
        >>> held.add(pictures)
        >>> pictures, end = held.since(held.at(2.6))
        >>> [each.seconds for each in pictures], end.number
        ([2.0, 2.5, 3.0, 3.5], 8)
    """

    def __init__(self, seconds: float) -> None:
        self.format: PictureFormat | None = None
        self._seconds = seconds
        self._held: deque[EncodedPicture] = deque()
        self._keys: deque[_Key] = deque()  # the first picture that is held is one
        self._first = 0  # the number of the first picture that is held
        self._bytes = 0
        self._whole = False
        self._lock = Lock()

    @property
    def available(self) -> bool:
        """Whether there are pictures."""
        return bool(self._held)

    def begin(self, picture_format: PictureFormat | None) -> None:
        """Forget all pictures: the next ones have another format."""
        with self._lock:
            self._remove(len(self._held))
            self.format, self._whole = picture_format, False

    def add(self, pictures: Sequence[EncodedPicture]) -> None:
        """Add the next pictures; after a loss those before a key frame are left out."""
        with self._lock:
            for each in pictures:
                self._whole = self.format is not None and (self._whole or each.is_key)
                if self._whole:
                    if each.is_key:
                        self._keys.append(_Key(self._first + len(self._held), each.seconds))
                    self._held.append(each)
                    self._bytes += len(each.content)
                self._forget(each.seconds - self._seconds)

    def lose(self) -> None:
        """Leave out the next pictures, up to a key frame: a picture before them is lost."""
        self._whole = False

    def at(self, seconds: float) -> Place | None:
        """Return the place of the last key frame at or before a time, or of the first picture.

        Returns:
            None if there are no pictures.
        """
        with self._lock:
            if self.format is None or not self._held:
                return None
            keys = [key.number for key in self._keys if key.seconds <= seconds]
            return Place(keys[-1] if keys else self._first, self.format)

    def since(self, place: Place) -> tuple[list[EncodedPicture], Place] | None:
        """Take the pictures from a place on; where some are gone, a key frame is the first.

        Returns:
            The pictures and the place after them; None if the pictures of this format have ended.
        """
        with self._lock:
            if self.format is not place.format:
                return None
            pictures = list(islice(self._held, max(place.number - self._first, 0), None))
            return pictures, Place(self._first + len(self._held), self.format)

    def _forget(self, before: float) -> None:
        """Remove the oldest pictures up to a key frame, while enough are left.

        A camera whose key frames are too rare for that sends nothing to copy.
        """
        while self._held:
            second = self._keys[1] if len(self._keys) > 1 else None
            oldest = (second or self._held[0]).seconds
            if oldest > before and self._bytes <= MOST_BYTES:
                return
            if second is None:
                self.format = None
            self._remove(second.number - self._first if second else len(self._held))

    def _remove(self, count: int) -> None:
        """Remove the oldest pictures."""
        for _ in range(count):
            self._bytes -= len(self._held.popleft().content)
        self._first += count
        while self._keys and self._keys[0].number < self._first:
            self._keys.popleft()
