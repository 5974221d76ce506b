"""Network cameras and webcams, read through PyAV; decord cannot open them."""

import logging
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from threading import Event

import av

from memguard.data.video.addresses import encoded, shown
from memguard.data.video.connection import Connection, NoPicturesError, PacketHistory, Received
from memguard.data.video.encoded import EncodedPicture, EncodedPictures, PictureFormat
from memguard.data.video.stream import Interruption, Pictures
from memguard.data.video.timing import Thinning
from memguard.errors import DataError

# Seconds before the next attempt to connect, longer after each failure.
PAUSES = (1, 2, 4, 8, 16, 30)

# An address that is wrong, in contrast to a camera that is off.
WRONG = (
    av.ArgumentError,
    av.DemuxerNotFoundError,
    av.FileNotFoundError,
    av.HTTPClientError,
    av.IsADirectoryError,
    av.InvalidDataError,
    av.PermissionError,
    av.ProtocolNotFoundError,
    NoPicturesError,
)

# Seconds. Headers are rounded, and sound may last longer than pictures.
LENGTH_TOLERANCE = 1.0

# Seconds between two warnings of torn pictures.
WARNING_SECONDS = 60.0

log = logging.getLogger(__name__)


def is_live(source: str) -> bool:
    """Return whether a source is a network stream or a webcam.

    Example:
        >>> [is_live(source) for source in ("rtsp://door/1", "/dev/video0", "0", "door.mp4")]
        [True, True, True, False]
    """
    return "://" in source or source.startswith("/dev/video") or source.isdecimal()


class Camera:
    """The pictures of a live stream, or of a recording on a server.

    It connects again after an interruption or some seconds without pictures, with growing pauses,
    and tries a camera that is off in the same way; the numbers of pictures continue. Torn pictures
    are left out. A recording, which declares its duration, ends there; one over RTSP that delivers
    nothing for some seconds is taken for a camera. Messages name the stream without user and
    password.

    Args:
        source: ``rtsp://…``, ``http://…`` or another URL that FFmpeg reads, ``/dev/video0``, or the
            number of a webcam.
        fps: Frames per second that the model is trained at. A camera that sends more is thinned by
            its time stamps. None: take all frames.
        sent: Holds its latest encoded pictures, with the times that the decoded ones have; None:
            they are not held.
        name: The name that its owner gives it; None: messages have its address alone.

    Raises:
        DataError: If the source is a webcam on a system without them.

    Attributes:
        name: The name in results.
        label: The name in messages.
        fps: Frames per second that it yields; None before it has connected.
        is_film: Whether it is a recording that comes as fast as it is read.
        torn: The number of torn pictures so far.
    """

    def __init__(
        self,
        source: str,
        fps: float | None = None,
        sent: EncodedPictures | None = None,
        name: str | None = None,
    ) -> None:
        source = f"/dev/video{source}" if source.isdecimal() else source
        self.source, self._address = shown(source), encoded(source)
        if self.source.startswith("/dev/") and sys.platform != "linux":
            raise DataError(
                f"{self.source}: webcams are read on Linux alone; give the URL of a stream"
            )
        self.name = name or "camera"
        self.label = f"{name} ({self.source})" if name else self.source
        self.fps: float | None = None
        self.is_film = False
        self.torn = 0
        self._trained_fps, self._sent = fps, sent
        self._closed = Event()
        self._history = PacketHistory()
        self._began = time.monotonic()
        self._number, self._last = 0, 0.0
        self._next_warning = 0.0

    @property
    def seconds(self) -> float:
        """The present time on the clock of its pictures, from the first one."""
        return time.monotonic() - self._began

    def __iter__(self) -> Iterator[Pictures | Interruption]:
        """Yield pictures one by one, and an interruption at the beginning of each outage.

        Raises:
            DataError: If the address cannot work, the stream has no pictures, or a recording breaks
                off.
        """
        failures = 0
        while True:
            before = self._number
            try:
                if (yield from self._connected()):
                    return
                reason = "the stream ended"
            except (av.FFmpegError, NoPicturesError) as error:
                # The text of FFmpeg's error contains the whole address.
                reason = str(error.strerror if isinstance(error, av.FFmpegError) else error)
                if self.fps is None and isinstance(error, WRONG):
                    raise DataError(_refusal(self.source, reason)) from None
            if self._closed.is_set():
                return
            if self._number > before:
                failures = 0
            if failures == 0:
                yield Interruption(self._last, reason)
            self._pause(failures, reason)
            failures += 1

    def close(self) -> None:
        """End the stream, at most some seconds later, when a picture or none has come."""
        self._closed.set()

    def _pause(self, failures: int, reason: str) -> None:
        pause = PAUSES[min(failures, len(PAUSES) - 1)]
        hint = "; check that the camera is on, and its address" if self.fps is None else ""
        log.warning("%s: %s%s; connecting again in %d s", self.label, reason, hint, pause)
        self._closed.wait(pause)

    def _connected(self) -> Generator[Pictures, None, bool]:
        """Yield the pictures of a connection; return whether they are a whole recording."""
        with closing(Connection(self._address, self._history)) as connection:
            reason = "the stream ended"
            first = self._number
            try:
                yield from self._pictures(connection)
            except av.FFmpegError as error:
                # A camera may declare a duration over RTSP; recordings that stall there are rare.
                stalls = not connection.is_film and isinstance(error, av.TimeoutError)
                if connection.duration is None or stalls:
                    raise
                reason = str(error.strerror)
            if connection.duration is None or self._closed.is_set():
                return False
            missing = connection.duration - connection.shown_seconds
            if missing > LENGTH_TOLERANCE:
                raise DataError(
                    f"{self.source}: this recording breaks off after {self._number - first} "
                    f"pictures, and {missing:.1f} s are missing ({reason}); score it again, or "
                    "download it first"
                )
            return True

    def _pictures(self, connection: Connection) -> Iterator[Pictures]:
        """Yield the pictures that are whole, as many as the model needs."""
        thinning = Thinning(connection.rate, None if connection.is_film else self._trained_fps)
        self.is_film = connection.is_film
        self.fps = self.fps or thinning.fps
        first, is_whole = self._number, True
        if self._sent:
            self._sent.begin(connection.format)
        for frame, seconds, pictures in self._timed(connection):
            if self._sent:
                _hold(self._sent, frame, pictures)
            if frame is None:
                self._note_torn()
                is_whole = False
            elif seconds >= self._last and thinning(seconds):
                is_near = is_whole or thinning.is_near(seconds - self._last)
                rgb = frame.to_ndarray(format="rgb24", threads=1)
                follows = self._number > first and is_near
                times = None if connection.is_film else [self._time_of_day(seconds)]
                yield Pictures(
                    rgb.transpose(2, 0, 1)[None], self._number, [seconds], follows, times
                )
                self._number, self._last, is_whole = self._number + 1, seconds, True

    def _time_of_day(self, seconds: float) -> datetime:
        """Return the time of day of a time on the clock of the pictures."""
        return datetime.now().astimezone() - timedelta(seconds=self.seconds - seconds)

    def _note_torn(self) -> None:
        """Count a torn picture, and warn of it, at most once a minute."""
        self.torn += 1
        if time.monotonic() >= self._next_warning:
            self._next_warning = time.monotonic() + WARNING_SECONDS
            log.warning(
                "%s: packets are lost or damaged; %d torn pictures so far are not scored",
                self.label, self.torn,
            )  # fmt: skip

    def _timed(self, connection: Connection) -> Iterator[Received]:
        """Yield what a connection receives, with the time since the beginning of the stream."""
        for frame, at, pictures in connection.pictures():
            if connection.is_playlist:
                self._closed.wait(max(at - time.monotonic(), 0))
            if self._closed.is_set():
                return
            if self._number == 0:  # a server may begin with what it has stored
                self._began = min(self._began, at)
            own = [each._replace(seconds=each.seconds - self._began) for each in pictures]
            yield Received(frame, at - self._began, own)


def _refusal(source: str, reason: str) -> str:
    """Say what a source that cannot be opened is, and the remedy."""
    if source.startswith("/dev/video"):
        kind, remedy = "webcam", "connect it, let this user read it, or take another /dev/video*"
    elif "://" in source:
        kind, remedy = "stream", "check its address, user and password"
    else:
        kind, remedy = "video file", "correct its path, or copy it again"
    return f"{source}: this {kind} cannot be opened ({reason}); {remedy}"


def _hold(
    sent: EncodedPictures, frame: av.VideoFrame | None, pictures: Sequence[EncodedPicture]
) -> None:
    """Hold encoded pictures with the one that is decoded of them, unless it is torn."""
    if frame is None:
        sent.lose()
        return
    size = frame.height, frame.width
    if sent.format and sent.format[:2] != size:
        sent.begin(PictureFormat(*size, parameters=b""))
    sent.add(pictures)
