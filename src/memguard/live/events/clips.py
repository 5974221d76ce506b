"""Clips of events: the pictures from some seconds before an event to some seconds after it."""

from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from torch import Tensor

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

    A clip that begins within the seconds after another one ends that one.

    Args:
        around: The seconds before and after an event.

    Example:
        >>> recorder = ClipRecorder(around=5)
        >>> recorder.recording
        False
    """

    def __init__(self, around: float) -> None:
        self._around = around
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._clip: _Clip | None = None
        self._until: float | None = None

    @property
    def recording(self) -> bool:
        """Whether a clip is being written."""
        return self._clip is not None

    def add(self, seconds: float, rgb: Tensor) -> None:
        """Add the next picture.

        Args:
            seconds: Its time.
            rgb: uint8 (3, H, W).

        Raises:
            OSError: The clip cannot be written; it ends before this picture.
        """
        jpeg = _compressed(rgb)
        self._waiting.append(_Waiting(seconds, jpeg))
        self._bytes += jpeg.nbytes
        if self._clip is None:
            self._forget(seconds - self._around)
        else:
            self._write(CATCHING_UP)

    def begin(self, path: Path) -> None:
        """Begin a clip with the pictures before now; one that has not ended yet ends there.

        Raises:
            OSError: The clip cannot be written.
        """
        self.close()
        self._clip, self._until = _Clip(path), None

    def end(self, seconds: float) -> None:
        """End the clip some seconds after this time."""
        self._until = seconds + self._around

    def close(self) -> None:
        """End the clip now, with all pictures so far.

        Raises:
            OSError: Its last pictures cannot be written.
        """
        self._write(len(self._waiting))
        self._finish()

    def _write(self, pictures: int) -> None:
        """Write the oldest pictures, up to the end of the clip."""
        while self._clip and self._waiting and pictures > 0:
            if self._until is not None and self._waiting[0].seconds > self._until:
                self._finish()
                return
            try:
                self._clip.add(*self._pop())
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


class _Clip:
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


def _compressed(rgb: Tensor) -> np.ndarray:
    """Compress a picture to JPEG, at most :data:`WIDTH` pixels wide."""
    picture = np.ascontiguousarray(rgb.permute(1, 2, 0).numpy())
    height, width = picture.shape[:2]
    if width > WIDTH:
        size = (WIDTH, max(round(height * WIDTH / width), 1))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))[1]
