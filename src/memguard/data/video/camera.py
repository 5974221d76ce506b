"""Network cameras and webcams, read through PyAV; decord cannot open them."""

import logging
import sys
import time
from collections.abc import Iterator

import av
import torch

from memguard.data.video.addresses import encoded, shown
from memguard.data.video.stream import Pictures
from memguard.data.video.timing import credible_rate
from memguard.errors import DataError

CONNECT_SECONDS, READ_SECONDS = 10.0, 5.0
# Seconds before the next attempt to connect, longer after each failure.
PAUSES = (1, 2, 4, 8, 16, 30)

# Over TCP pictures are late rather than damaged.
RTSP_OPTIONS = {"rtsp_transport": "tcp"}

log = logging.getLogger(__name__)


def is_live(source: str) -> bool:
    """Return whether a source is a network stream or a webcam.

    Example:
        >>> [is_live(source) for source in ("rtsp://door/1", "/dev/video0", "0", "door.mp4")]
        [True, True, True, False]
    """
    return "://" in source or source.startswith("/dev/video") or source.isdecimal()


class Camera:
    """The pictures of a live stream.

    It connects again after an interruption or some seconds without pictures, with growing pauses;
    the numbers of pictures continue. A stream with a declared duration ends there. Messages name it
    without user and password.

    Args:
        source: ``rtsp://…``, ``http://…`` or another URL that FFmpeg reads, ``/dev/video0``, or the
            number of a webcam.

    Raises:
        DataError: If the first connection fails, or the stream has no pictures.
    """

    length = None

    def __init__(self, source: str) -> None:
        source = f"/dev/video{source}" if source.isdecimal() else source
        self.source, self._address = shown(source), encoded(source)
        self.name = "camera"
        if self.source.startswith("/dev/") and sys.platform != "linux":
            raise DataError(
                f"{self.source}: webcams are read on Linux alone; give the URL of a stream"
            )
        try:
            self._container: av.container.InputContainer | None = self._connect()
        except av.FFmpegError as error:
            raise DataError(
                f"{self.source}: this stream cannot be opened ({error.strerror}); check that the "
                "camera is on, and its address, user and password"
            ) from None  # FFmpeg's error contains the whole address
        if not self._container.streams.video:
            raise DataError(f"{self.source}: this stream has no pictures; give that of a camera")
        stream = self._container.streams.video[0]
        self.fps = credible_rate(stream.average_rate, stream.guessed_rate, stream.base_rate)

    def __iter__(self) -> Iterator[Pictures]:
        """Yield pictures one by one, without end or until the declared end of the stream."""
        number, failures, began = 0, 0, time.monotonic()
        while True:
            follows = False
            try:
                with self._container or self._connect() as container:
                    self._container = None
                    ends = container.duration is not None
                    for frame in _frames(container):
                        failures = 0
                        if frame is not None:
                            rgb = torch.from_numpy(frame.to_ndarray(format="rgb24", threads=1))
                            seconds = [time.monotonic() - began]
                            yield Pictures(rgb.permute(2, 0, 1)[None], number, seconds, follows)
                            number += 1
                        follows = frame is not None
                if ends:
                    return
                reason = "the stream ended"
            except av.FFmpegError as error:
                reason = str(error.strerror)  # the error itself contains the whole address
            pause = PAUSES[min(failures, len(PAUSES) - 1)]
            failures += 1
            log.warning("%s: %s; connecting again in %d s", self.source, reason, pause)
            time.sleep(pause)

    def _connect(self) -> av.container.InputContainer:
        return av.open(
            self._address,
            format="v4l2" if self.source.startswith("/dev/") else None,
            options=RTSP_OPTIONS if self.source.startswith("rtsp") else {},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )


def _frames(container: av.container.InputContainer) -> Iterator[av.VideoFrame | None]:
    """Decode all frames; None stands for a damaged one, because cameras lose packets."""
    for packet in container.demux(video=0):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            yield None
