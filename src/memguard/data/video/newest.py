"""The newest pictures of a camera: a thread reads them, and a slow scorer drops the oldest."""

import logging
import math
import time
from collections.abc import Iterator
from threading import Condition, Thread

from memguard.data.video.camera import Camera
from memguard.data.video.stream import BYTES_AT_A_TIME, Interruption, Pictures
from memguard.data.video.timing import USUAL_FPS

# Pictures to hold, fewer if they are large. Each run without a gap needs a past for its scores.
MOST_HELD, FEWEST_HELD = 64, 8

# Seconds of pictures to hold: a connection begins with those of two at once, and older ones only
# add to the lag of a scorer that falls behind.
HELD_SECONDS = 3.0

# Seconds from the first dropped picture to the first warning, and between two warnings.
FIRST_WARNING, NEXT_WARNING = 5.0, 60.0

log = logging.getLogger(__name__)


class CameraThread(Thread):
    """A thread that may wait for a camera in FFmpeg some seconds longer than it is needed."""


class NewestPictures:
    """Read a camera in a thread, and hold its newest pictures until they are taken.

    If pictures come faster than they are taken, the oldest are dropped, and a warning says so. A
    film waits instead. The thread ends with the camera, or some seconds after :meth:`close`.

    Args:
        camera: The camera.

    Attributes:
        name: The name of the camera in results.
        dropped: The number of dropped pictures so far.
    """

    length = None

    def __init__(self, camera: Camera) -> None:
        self.name = camera.name
        self.dropped = 0
        self._camera = camera
        self._held: list[Pictures | Interruption] = []
        self._error: Exception | None = None
        self._ended = False
        self._changed = Condition()
        self._pace = _Pace(camera.label)
        CameraThread(target=self._read, name=camera.source, daemon=True).start()

    @property
    def fps(self) -> float:
        """Pictures per second; it waits for the first connection.

        Raises:
            DataError: If there can be no connection.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._camera.fps or self._ended)
            self._raise()
            return self._camera.fps or 0.0

    @property
    def ended(self) -> bool:
        """Whether the camera has ended, and all of its pictures are taken."""
        with self._changed:
            return self._ended and not self._held

    @property
    def camera_fps(self) -> float | None:
        """Pictures per second; None before the first connection."""
        return self._camera.fps

    @property
    def seconds(self) -> float:
        """The present time on the clock of the camera's pictures."""
        return self._camera.seconds

    @property
    def is_film(self) -> bool:
        """Whether it is a recording that comes as fast as it is read."""
        return self._camera.is_film

    @property
    def torn(self) -> int:
        """The number of torn pictures so far."""
        return self._camera.torn

    def take(
        self, seconds: float | None = None, most: int | None = None
    ) -> list[Pictures | Interruption]:
        """Take the pictures that are held, in order.

        Args:
            seconds: How long to wait for a picture at most; None: until one comes.
            most: The number to take at most; None: all.

        Returns:
            Nothing after this time, and after the end.

        Raises:
            DataError: If the camera has ended with an error; all pictures before it are taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._held or self._ended, seconds)
            taken = self._held[:most]
            del self._held[:most]
            self._pace.taken += len(taken)
            self._changed.notify_all()
            if not taken:
                self._raise()
            return taken

    def __iter__(self) -> Iterator[Pictures | Interruption]:
        """Yield the pictures until the camera ends, and close it with the iteration."""
        try:
            while taken := self.take():
                yield from taken
        finally:
            self.close()

    def close(self) -> None:
        """End the camera and its thread."""
        self._camera.close()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _raise(self) -> None:
        if self._error:
            raise self._error

    def _read(self) -> None:
        """Hold what the camera yields; the work of the thread."""
        try:
            for item in self._camera:
                with self._changed:
                    self._hold(item)
                    self._changed.notify_all()
        except Exception as error:  # whatever it is, the consumer has to know
            self._error = error
        self.close()

    def _hold(self, item: Pictures | Interruption) -> None:
        """Hold an item, and make room for it."""
        if isinstance(item, Pictures):
            room = self._room(item)
            if self._camera.is_film:
                self._changed.wait_for(lambda: len(self._held) < room or self._ended)
            elif len(self._held) >= room:
                self._drop()
        self._held.append(item)

    def _room(self, pictures: Pictures) -> int:
        """Return the number of pictures to hold."""
        newest = round(HELD_SECONDS * (self._camera.fps or USUAL_FPS))
        most = min(BYTES_AT_A_TIME // pictures.rgb.nbytes, newest, MOST_HELD)
        return max(most, FEWEST_HELD)

    def _drop(self) -> None:
        """Drop the oldest picture; the next one follows it no more."""
        place = next(n for n, item in enumerate(self._held) if isinstance(item, Pictures))
        del self._held[place]
        if place < len(self._held) and isinstance(after := self._held[place], Pictures):
            self._held[place] = after._replace(follows=False)
        self.dropped += 1
        self._pace.drop()


class _Pace:
    """Warn of a scorer that is slower than its camera.

    Attributes:
        taken: The number of pictures taken since the last warning.
    """

    def __init__(self, label: str) -> None:
        self.taken = 0
        self._label = label
        self._dropped = 0
        self._since = self._last = -math.inf
        self._wait = FIRST_WARNING

    def drop(self) -> None:
        """Count a dropped picture, and warn if it is time."""
        now = time.monotonic()
        if now - self._last > NEXT_WARNING:
            self._begin(now, FIRST_WARNING)
        self._last = now
        self._dropped += 1
        passed = now - self._since
        if passed >= self._wait:
            log.warning(
                "%s: scoring is too slow, and %d frames are dropped: it takes %.1f of %.1f frames "
                "a second. Train at fewer frames a second, or a smaller model.",
                self._label, self._dropped, self.taken / passed,
                (self.taken + self._dropped) / passed,
            )  # fmt: skip
            self._begin(now, NEXT_WARNING)

    def _begin(self, now: float, wait: float) -> None:
        self._since, self._wait, self._dropped, self.taken = now, wait, 0, 0
