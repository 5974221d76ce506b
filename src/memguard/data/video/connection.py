"""One connection to a camera: its pictures with the times of their capture."""

import errno
import socket
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from memguard.data.video.encoded import EncodedPicture, PictureFormat
from memguard.data.video.timing import Clock, LiveClock, credible_rate, frame_rate, measured_rate

CONNECT_SECONDS, READ_SECONDS = 10.0, 5.0

# Over TCP pictures are late rather than damaged.
RTSP_OPTIONS = {"rtsp_transport": "tcp"}

# FFmpeg takes half a JPEG for a whole one otherwise.
JPEG_OPTIONS = {"err_detect": "explode"}

# A flag of FFmpeg's formats, AVFMT_NOTIMESTAMPS: MJPEG over HTTP has no times.
NO_TIMESTAMPS = 0x80

# The time to measure the rate of a camera, and the most packets to hold meanwhile.
MEASURED_SECONDS, MEASURED_PACKETS = 2.0, 500

# Seconds within which the pictures arrive that are sent while a camera is opened.
BURST_SECONDS = 0.1

# Cameras that send no key frames refresh the whole picture in this time, seconds.
REFRESH_SECONDS = 10.0

# More than the playlist of a live stream holds.
REMEMBERED_PACKETS = 20_000

# Seconds of pictures that a playlist has at once.
PLAYLIST_SECONDS = 60.0


class NoPicturesError(Exception):
    """A stream has sound alone."""


class Arrival(NamedTuple):
    """An encoded packet.

    Attributes:
        packet: The packet.
        stamp: Its time stamp, seconds; None if it has none.
        at: The time of its arrival, :func:`time.monotonic`.
    """

    packet: "av.Packet[VideoStream]"
    stamp: float | None
    at: float


class Received(NamedTuple):
    """A decoded picture.

    Attributes:
        frame: The picture; None if it is torn.
        seconds: The time of its capture on the clock of :func:`time.monotonic`; in a film, the time
            since its beginning.
        encoded: The encoded pictures that arrived since the one before; none if the connection has
            no format.
    """

    frame: av.VideoFrame | None
    seconds: float
    encoded: Sequence[EncodedPicture] = ()


class PacketHistory:
    """The latest packets of a playlist, which has them again on the next connection.

    Example:
        >>> history, packet = PacketHistory(), av.Packet(b"picture")
        >>> history.add(packet), history.add(packet)
        (True, False)
    """

    def __init__(self) -> None:
        self._known: set[tuple[int | None, int]] = set()
        self._order: deque[tuple[int | None, int]] = deque()

    def add(self, packet: "av.Packet[Any]") -> bool:
        """Remember a packet, and return whether it is new."""
        key = packet.pts, zlib.crc32(packet)
        if key in self._known:
            return False
        self._known.add(key)
        self._order.append(key)
        if len(self._order) > REMEMBERED_PACKETS:
            self._known.discard(self._order.popleft())
        return True


class Connection:
    """A connection to a camera, or to a recording, which declares its duration.

    It measures the rate of a camera over the first two seconds, because cameras declare other rates
    than they send. Pictures of a playlist that an earlier connection has had are left out.

    Args:
        address: The address with user and password.
        history: The packets of earlier connections.

    Attributes:
        duration: The declared duration, seconds; None if there is none.
        is_film: Whether it comes as fast as it is read.
        is_playlist: Whether many pictures come at once, before their time.
        format: The format of its encoded pictures; None if they cannot be copied.
        rate: Frames per second.
        shown_seconds: The duration of the pictures so far, by their time stamps.

    Raises:
        av.FFmpegError: If there is no connection.
        NoPicturesError: If the stream has no pictures.
    """

    def __init__(self, address: str, history: PacketHistory) -> None:
        self._container = _opened(address)
        container = self._container
        if not container.streams.video:
            self.close()
            raise NoPicturesError("the stream has no pictures")
        self._stream = container.streams.video[0]
        if self._stream.codec_context.name == "mjpeg":
            self._stream.codec_context.options = JPEG_OPTIONS
        declared = container.duration
        self.duration = None if declared is None else declared / av.time_base
        self.is_film = declared is not None and not address.startswith("rtsp")
        self.is_playlist = container.format.name == "hls" and not self.is_film
        self._history = history if self.is_playlist else None
        self._repeated: set[int] = set()
        self._arrivals = self._receive()
        self._error: av.FFmpegError | None = None
        self.shown_seconds = 0.0
        self._held = [] if self.is_film else list(self._hold())
        stamps = [arrival.stamp for arrival in self._held if arrival.stamp is not None]
        self._is_stamped = self.is_film or measured_rate(stamps) is not None
        self.rate = self._rate(stamps)
        if self._is_stamped:
            self._stamp_the_first()
        self.format = self._copied_format()

    def close(self) -> None:
        """Close the connection."""
        self._container.close()

    def pictures(self) -> Iterator[Received]:
        """Decode all pictures.

        A torn picture spoils the pictures after it, up to the next key frame.

        Raises:
            av.FFmpegError: If the connection breaks off.
        """
        clock, stamps = self._clock(), Clock(self.rate)
        torn_since: float | None = None
        encoded: list[EncodedPicture] = []
        for packet, _stamp, at in chain(self._held, self._arrivals):
            if self.format and packet.size:
                encoded.append(self._encoded(packet, at, clock))
            try:
                for frame in packet.decode():
                    if frame.pts in self._repeated:
                        continue
                    self.shown_seconds = stamps(frame.time) + 1 / self.rate
                    # Between files of a playlist packets seem lost, and are not.
                    if frame.is_corrupt or (packet.is_corrupt and not self.is_playlist):
                        torn_since = at
                    elif frame.key_frame or at - (torn_since or at) > REFRESH_SECONDS:
                        torn_since = None
                    seconds = clock(frame.time if self._is_stamped else None, at)
                    yield Received(None if torn_since else frame, seconds, encoded)
                    encoded = []
            except av.InvalidDataError:
                torn_since = at
                yield Received(None, at, encoded)
                encoded = []
        if self._error:
            raise self._error

    def _copied_format(self) -> PictureFormat | None:
        """Return the format of a live stream in H.264, which every browser plays."""
        context = self._stream.codec_context
        parameters = bytes(context.extradata or b"")
        is_live = self._is_stamped and not self.is_film and not self.is_playlist
        # Without start codes each picture begins with its length.
        if not is_live or context.name != "h264" or parameters[:1] not in (b"", b"\0"):
            return None
        return PictureFormat(context.height, context.width, parameters)

    def _encoded(
        self,
        packet: "av.Packet[VideoStream]",
        at: float,
        clock: Callable[[float | None, float], float],
    ) -> EncodedPicture:
        tick = float(self._stream.time_base or 0)
        shown = packet.pts
        decoded = shown if packet.dts is None else packet.dts
        stamp = None if shown is None else shown * tick
        early = 0.0 if shown is None or decoded is None else (shown - decoded) * tick
        return EncodedPicture(bytes(packet), clock(stamp, at), max(early, 0.0), packet.is_keyframe)

    def _receive(self) -> Iterator[Arrival]:
        """Yield the packets as they arrive.

        Raises:
            av.FFmpegError: If none comes for some seconds, or the connection breaks off.
        """
        try:
            yield from self._demuxed()
        except av.ExitError:
            raise _timeout(f"no picture for {READ_SECONDS:.0f} s") from None

    def _demuxed(self) -> Iterator[Arrival]:
        has_stamps = not self._container.format.flags & NO_TIMESTAMPS
        tick = float(self._stream.time_base or 0)
        for packet in self._container.demux(self._stream):
            if packet.pts is None:
                yield Arrival(packet, None, time.monotonic())
                continue
            if self._history and not self._history.add(packet):
                self._repeated.add(packet.pts)
            yield Arrival(packet, packet.pts * tick if has_stamps else None, time.monotonic())

    def _hold(self) -> Iterator[Arrival]:
        """Yield the packets to measure the rate with, and store the error that ends them."""
        began, first = time.monotonic(), None
        try:
            for arrival in islice(self._arrivals, MEASURED_PACKETS):
                yield arrival
                stamp = arrival.stamp
                first = stamp if first is None else first
                lasted = 0.0 if stamp is None or first is None else stamp - first
                if max(lasted, arrival.at - began) >= MEASURED_SECONDS:
                    break
        except av.FFmpegError as error:
            self._error = error

    def _rate(self, stamps: list[float]) -> float:
        stream = self._stream
        declared = stream.average_rate, stream.guessed_rate, stream.base_rate
        if self.is_film:
            return credible_rate(*declared)
        if self._is_stamped:
            return frame_rate(stamps, declared, float(stream.time_base or 0))
        times = [arrival.at for arrival in self._held]
        at_once = sum(time - times[0] <= BURST_SECONDS for time in times)
        return frame_rate(times[max(at_once - 1, 0) :], ())

    def _stamp_the_first(self) -> None:
        """Give stamps to the first packets of RTSP, which may have none, from the one after."""
        tick = float(self._stream.time_base or 1)
        stamps = [arrival.stamp for arrival in self._held]
        first = next((n for n, stamp in enumerate(stamps) if stamp is not None), 0)
        for number, (packet, _, at) in enumerate(self._held[:first]):
            stamp = (stamps[first] or 0.0) - (first - number) / self.rate
            packet.pts = round(stamp / tick)
            self._held[number] = Arrival(packet, stamp, at)

    def _clock(self) -> Callable[[float | None, float], float]:
        """Make the clock that turns the stamp and the arrival of a picture into its time."""
        if self.is_film:
            film = Clock(self.rate)
            return lambda stamp, _at: film(stamp)
        if self.is_playlist:
            return LiveClock(early=PLAYLIST_SECONDS)
        clock = LiveClock()
        for _packet, stamp, at in self._held:
            clock(stamp, at)  # the least delayed of the first pictures
        return clock


def _opened(address: str) -> InputContainer:
    """Open an address, within some seconds.

    Raises:
        av.FFmpegError: If there is no connection.
    """
    began = time.monotonic()
    try:
        return av.open(
            address,
            format="v4l2" if address.startswith("/dev/") else None,
            options=RTSP_OPTIONS if address.startswith("rtsp") else {},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )
    except av.FFmpegError as error:
        if error.errno == errno.EIO and not _resolves(address):
            raise av.OSError(errno.EIO, _unknown_host(address)) from None
        if time.monotonic() - began < CONNECT_SECONDS:
            raise
        # FFmpeg calls it invalid data in RTSP, and elsewhere an exit.
        raise _timeout(f"no answer for {CONNECT_SECONDS:.0f} s") from None


def _resolves(address: str) -> bool:
    """Return whether the host of an address is known, or it has none."""
    try:
        host = urlsplit(address).hostname
        return host is None or bool(socket.getaddrinfo(host, None))
    except socket.gaierror:
        return False
    except ValueError:  # a host that is none
        return True


def _unknown_host(address: str) -> str:
    """Say that a host is not known; a password with @ and / leaves open where the host begins."""
    hint = "; in a password write @ as %40 and / as %2F" if address.count("@") > 1 else ""
    return f"its host name does not resolve{hint}"


def _timeout(reason: str) -> av.FFmpegError:
    return av.TimeoutError(errno.ETIMEDOUT, reason)
