"""The past of a stream that is scored: its latest frames, and the smoothing of its errors."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from memguard.data.video.fitting import fitted
from memguard.data.video.stream import Pictures
from memguard.scoring.patch_places import pooled
from memguard.scoring.smoothing import StreamSmoother


class StreamPast:
    """Turn the pictures of a stream into windows, and patch errors into smoothed ones.

    Args:
        number: The number of the stream, which names its items in the guard.
        length: Frames of a window.
        frame_size: Height and width of the network's frames.
        channels: Channels of the network's frames.
        sizes: For each size of patches, height and width as shares of the frame's.
        smoothing: Standard deviation of the smoothing over time, frames.
        ignored: bool (H, W), the pixels of the network's frame whose errors do not count; None:
            all count.
    """

    def __init__(
        self,
        number: int,
        length: int,
        frame_size: tuple[int, int],
        channels: int,
        sizes: Sequence[Sequence[float]],
        smoothing: float,
        ignored: np.ndarray | None = None,
    ) -> None:
        self.number = number
        self._length, self._size, self._channels = length, frame_size, channels
        self._sizes, self._smoothing, self._ignored = sizes, smoothing, ignored
        self.forget()

    def forget(self) -> None:
        """Forget all pictures: the next one begins a new past."""
        self._frames = np.zeros((0, *self._size, self._channels), np.uint8)
        self._smoother = StreamSmoother(self._smoothing, causal=True)

    def windows(self, pictures: Pictures) -> np.ndarray:
        """Add pictures, and return their windows: uint8 (N, T, H, W, C).

        A picture without enough of a past has no window, so these are windows of the last N
        pictures.
        """
        if not pictures.follows:
            self.forget()
        stored = pictures.rgb.transpose(0, 2, 3, 1)
        frames = fitted(stored, frame_size=self._size, channels=self._channels)
        known = np.concatenate([self._frames, frames])
        self._frames = known[max(len(known) - self._length + 1, 0) :]
        if len(known) < self._length:
            return np.zeros((0, self._length, *known.shape[1:]), np.uint8)
        return np.moveaxis(sliding_window_view(known, self._length, axis=0), -1, 1)

    def counted(self, error: np.ndarray) -> np.ndarray:
        """Return the errors of pixels, (N, H, W), with zeros where they do not count."""
        return error if self._ignored is None else np.where(self._ignored, 0, error)

    def patches(self, patch: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the patch errors of the next frames, and smoothed ones.

        Args:
            patch: (N, S, rows, columns), the patch errors of whole frames.
            error: (N, H, W), the errors of pixels.

        Returns:
            (N, S, rows, columns) each.
        """
        if self._ignored is not None:
            patch = pooled(self.counted(error), self._sizes)
        return patch, self._smoother(patch)
