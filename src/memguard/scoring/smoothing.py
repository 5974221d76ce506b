"""Smoothing over time, of whole videos and of endless streams."""

from typing import Any

import numpy as np

from memguard.model.shapes import require_shapes
from memguard.scoring.arrays import joined, takes_tensors

# The Gaussian ends here, in standard deviations; 0.006 % of it lies beyond.
GAUSSIAN_REACH = 4


def smoothing_reach(sigma: float) -> int:
    """Return how many frames before a frame have a weight in its smoothed value.

    Args:
        sigma: Standard deviation in frames.
    """
    return round(GAUSSIAN_REACH * sigma)


@takes_tensors
def smooth_over_time(values: np.ndarray, sigma: float, *, causal: bool = False) -> np.ndarray:
    """Average the values of successive frames with Gaussian weights.

    At both ends of the video the weights of the existing frames sum to 1.

    Args:
        values: (T, …), the values of one video, in order; an array or a tensor.
        sigma: Standard deviation in frames; 0 returns the values.
        causal: Average a frame and the frames before it alone, for live video.

    Returns:
        The same shape and type.

    Example:
        >>> smooth_over_time(np.array([0.0, 0.0, 100.0, 0.0, 0.0]), 0.5).round()
        array([ 0., 11., 79., 11.,  0.])
        >>> smooth_over_time(np.array([0.0, 0.0, 100.0, 0.0, 0.0]), 0.5, causal=True).round()
        array([ 0.,  0., 88., 12.,  0.])
    """
    frames, reach = len(values), smoothing_reach(sigma)
    if reach == 0:
        return values
    total, weight = np.zeros_like(values), np.zeros(frames, values.dtype)
    for lag in range(0 if causal else -min(reach, frames - 1), min(reach, frames - 1) + 1):
        share = values.dtype.type(np.exp(-((lag / sigma) ** 2) / 2))
        # Frames that have another so much before them, and these.
        present = slice(max(lag, 0), frames + min(lag, 0))
        before = slice(max(-lag, 0), frames - max(lag, 0))
        total[present] += share * values[before]
        weight[present] += share
    return total / weight.reshape(-1, *[1] * (values.ndim - 1))


@takes_tensors
def smooth_per_video(
    values: np.ndarray, videos: np.ndarray, sigma: float, *, causal: bool = False
) -> np.ndarray:
    """Smooth each video's values with :func:`smooth_over_time`.

    Args:
        values: (N,), a value per frame; each video's frames are in order. An array or a tensor.
        videos: (N,), the number of each frame's video.
        sigma: Standard deviation in frames.
        causal: Average a frame and the frames before it alone.

    Returns:
        (N,), of the type of ``values``.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> values, videos = np.array([0.0, 100.0, 8.0, 8.0]), np.array([0, 0, 1, 1])
        >>> smooth_per_video(values, videos, sigma=0.5).round()
        array([12., 88.,  8.,  8.])
    """
    require_shapes(values=(values, "N"), videos=(videos, "N"))
    result = np.empty_like(values)
    for number in np.unique(videos):
        of_video = videos == number
        result[of_video] = smooth_over_time(values[of_video], sigma, causal=causal)
    return result


class StreamSmoother:
    """Smooth an endless series as it comes, with the result of :func:`smooth_over_time`.

    It stores the few values with a weight. Without ``causal`` a value is smoothed as soon as the
    values after it are known.

    Args:
        sigma: Standard deviation in frames.
        causal: Average a value and the values before it alone.

    Example:
        >>> smoother = StreamSmoother(0.5, causal=True)
        >>> smoother(np.array([0.0, 0.0, 100.0])).round(), smoother(np.array([0.0])).round()
        (array([ 0.,  0., 88.]), array([12.]))
        >>> smoother = StreamSmoother(0.5, causal=False)
        >>> smoother(np.array([0.0, 0.0, 100.0])).round(), smoother.finish().round()
        (array([0.]), array([11., 88.]))
    """

    def __init__(self, sigma: float, *, causal: bool) -> None:
        self._sigma, self._causal = sigma, causal
        self._reach = smoothing_reach(sigma)
        self._known: Any = None
        self._smoothed = 0  # of the known values, how many are smoothed already

    def __call__(self, values: Any) -> Any:
        """Add the next values of the series.

        Args:
            values: (T, …), in order; arrays, or tensors.

        Returns:
            (N, …), the next smoothed values; with ``causal`` those of ``values``.
        """
        known = values if self._known is None else joined(self._known, values)
        return self._smooth(known, len(known) - (0 if self._causal else self._reach))

    def finish(self) -> Any:
        """Return the last smoothed values, (N, …), and begin another series.

        Raises:
            ValueError: There is no value.
        """
        if self._known is None:
            raise ValueError("a series without values cannot be smoothed")
        last = self._smooth(self._known, len(self._known))
        self._known, self._smoothed = None, 0
        return last

    def _smooth(self, known: Any, end: int) -> Any:
        """Smooth the known values up to an end, and forget those that no later one needs."""
        end = max(end, self._smoothed)
        smoothed = smooth_over_time(known, self._sigma, causal=self._causal)[self._smoothed : end]
        forgotten = max(end - self._reach, 0)
        self._known, self._smoothed = known[forgotten:], end - forgotten
        return smoothed
