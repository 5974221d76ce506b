"""Clips of events: the pictures from some seconds before an event to some seconds after it."""

from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np

from memguard.data.video.encoded import EncodedPictures
from memguard.live.events.copied_clip import CopiedClip
from memguard.live.fragmented import FragmentedVideo

# Pictures wait as JPEG for an event; a larger one is reduced to this width, as encoding takes time.
WIDTH = 960
QUALITY = 90
WAITING_BYTES = 48 * 2**20
# A clip catches up with the camera by this many pictures a picture, as encoding takes time.
CATCHING_UP = 2

TIME_BASE = Fraction(1, 1000)
ENCODER = {"preset": "veryfast", "crf": "25", "g": "25", "bf": "0"}


class _Waiting(NamedTuple):
    seconds: float
    jpeg: np.ndarray


class ClipRecorder:
    """Write clips from a ring of pictures: H.264 in MP4, playable before they have ended.

    They are copied as the camera has sent them, from the key frame before; those of a camera that
    sends no H.264 are encoded. A clip that begins within the seconds after another one ends that
    one. A copied clip ends with the connection to the camera as well.

    Args:
        around: The seconds before and after an event.
        shortest: The seconds after which the beginning of an event is known.
        sent: The pictures as the camera sends them; None: all clips are encoded.

    Example:
        >>> recorder = ClipRecorder(around=5)
        >>> recorder.recording is None
        True
    """

    def __init__(
        self, around: float, shortest: float = 0.0, sent: EncodedPictures | None = None
    ) -> None:
        self._around, self._before, self._sent = around, around + shortest, sent
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._clip: _EncodedClip | CopiedClip | None = None
        self._path: Path | None = None
        self._ahead = 0.0
        self._until: float | None = None

    @property
    def recording(self) -> Path | None:
        """The clip that is being written."""
        return self._path if self._clip else None

    def add(self, seconds: float, rgb: np.ndarray, captured: float) -> None:
        """Add the next picture.

        Args:
            seconds: Its time.
            rgb: uint8 (3, H, W).
            captured: Its time among the pictures as sent.

        Raises:
            OSError: The clip cannot be written; it ends before this picture.
        """
        self._ahead = seconds - captured
        if isinstance(self._clip, CopiedClip):
            self._copy(self._clip)
        elif self._clip or not (self._sent and self._sent.available):
            jpeg = _compressed(rgb)
            self._waiting.append(_Waiting(seconds, jpeg))
            self._bytes += jpeg.nbytes
            if self._clip is None:
                self._forget(seconds - self._before)
            else:
                self._encode(self._clip, CATCHING_UP)

    def begin(self, path: Path, start: float) -> None:
        """Begin a clip of an event; one that has not ended yet ends there.

        Args:
            path: The file.
            start: The time at which the event began.

        Raises:
            OSError: The clip cannot be written.
        """
        self.close()
        self._path, self._until, since = path, None, start - self._around
        place = self._sent.at(since - self._ahead) if self._sent else None
        if self._sent and place:
            self._clip = CopiedClip(path, self._sent, place)
        else:
            self._clip = _EncodedClip(path)
            self._forget(since)

    def end(self, seconds: float) -> None:
        """End the clip some seconds after this time, and now if they have passed.

        Raises:
            OSError: The clip cannot be written.
        """
        self._until = seconds + self._around
        if isinstance(self._clip, CopiedClip):
            self._copy(self._clip)
        elif self._clip:
            self._encode(self._clip, 1)

    def close(self) -> None:
        """End the clip now, with all pictures so far.

        Raises:
            OSError: Its last pictures cannot be written.
        """
        if isinstance(self._clip, CopiedClip):
            self._copy(self._clip)
        elif self._clip:
            self._encode(self._clip, len(self._waiting))
        self._finish()

    def _copy(self, clip: CopiedClip) -> None:
        """Copy the pictures that have come, up to the end of the clip."""
        try:
            ended = clip.write(None if self._until is None else self._until - self._ahead)
        except OSError:
            self._finish()
            raise
        if ended:
            self._finish()

    def _encode(self, clip: "_EncodedClip", pictures: int) -> None:
        """Encode the oldest pictures, up to the end of the clip."""
        while self._waiting and pictures > 0:
            if self._until is not None and self._waiting[0].seconds > self._until:
                self._finish()
                return
            try:
                clip.add(*self._pop())
            except OSError:
                self._finish()
                raise
            pictures -= 1

    def _finish(self) -> None:
        clip, self._clip = self._clip, None
        if clip:
            clip.close()

    def _pop(self) -> _Waiting:
        oldest = self._waiting.popleft()
        self._bytes -= oldest.jpeg.nbytes
        return oldest

    def _forget(self, before: float) -> None:
        """Remove the pictures that no clip takes."""
        while self._waiting and (self._waiting[0].seconds < before or self._bytes > WAITING_BYTES):
            self._pop()


class _EncodedClip:
    """A clip, whose pictures have their own times."""

    def __init__(self, path: Path) -> None:
        self._video = FragmentedVideo(path, 25, TIME_BASE, ENCODER)
        self._began: float | None = None
        self._last = -1

    def add(self, seconds: float, jpeg: np.ndarray) -> None:
        """Encode a picture."""
        bgr = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
        frame = av.VideoFrame.from_ndarray(bgr, format="bgr24")
        self._began = seconds if self._began is None else self._began
        self._last = max(round((seconds - self._began) / TIME_BASE), self._last + 1)
        frame.pts, frame.time_base = self._last, TIME_BASE
        self._video.add(frame)

    def close(self) -> None:
        """Write the rest of the encoder's frames."""
        self._video.close()


def _compressed(rgb: np.ndarray) -> np.ndarray:
    """Compress a picture to JPEG, at most :data:`WIDTH` pixels wide."""
    picture = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    height, width = picture.shape[:2]
    if width > WIDTH:
        size = (WIDTH, max(round(height * WIDTH / width), 1))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1]
