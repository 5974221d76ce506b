"""Smoothing over time, of whole videos and of endless streams."""

import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.model.shapes import require_shapes

# The Gaussian ends here, in standard deviations; 0.006 % of it lies beyond.
GAUSSIAN_REACH = 4


def smoothing_reach(sigma: float) -> int:
    """Return how many frames before a frame have a weight in its smoothed value.

    Args:
        sigma: Standard deviation in frames.
    """
    return round(GAUSSIAN_REACH * sigma)


def smooth_over_time(values: Tensor, sigma: float, *, causal: bool = False) -> Tensor:
    """Average the values of successive frames with Gaussian weights.

    At both ends of the video the weights of the existing frames sum to 1.

    Args:
        values: (T, …), the values of one video, in order.
        sigma: Standard deviation in frames; 0 returns the values.
        causal: Average a frame and the frames before it alone, for live video.

    Returns:
        The same shape.

    Example:
        >>> smooth_over_time(torch.tensor([0.0, 0.0, 100.0, 0.0, 0.0]), 0.5).round()
        tensor([ 0., 11., 79., 11.,  0.])
        >>> smooth_over_time(torch.tensor([0.0, 0.0, 100.0, 0.0, 0.0]), 0.5, causal=True).round()
        tensor([ 0.,  0., 88., 12.,  0.])
    """
    reach = smoothing_reach(sigma)
    if reach == 0:
        return values
    lag = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    kernel = (-(lag / sigma).square() / 2).exp()
    if causal:
        kernel[lag > 0] = 0
    series = values.reshape(len(values), -1).T[:, None]  # (values per frame, 1, T)
    weighted = F.conv1d(series, kernel.view(1, 1, -1), padding=reach)
    weight = F.conv1d(torch.ones_like(series[:1]), kernel.view(1, 1, -1), padding=reach)
    return (weighted / weight)[:, 0].T.reshape(values.shape)


def smooth_per_video(
    values: Tensor, videos: Tensor, sigma: float, *, causal: bool = False
) -> Tensor:
    """Smooth each video's values with :func:`smooth_over_time`.

    Args:
        values: (N,), a value per frame; each video's frames are in order.
        videos: (N,), the number of each frame's video.
        sigma: Standard deviation in frames.
        causal: Average a frame and the frames before it alone.

    Returns:
        (N,).

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> values, videos = torch.tensor([0.0, 100.0, 8.0, 8.0]), torch.tensor([0, 0, 1, 1])
        >>> smooth_per_video(values, videos, sigma=0.5).round()
        tensor([12., 88.,  8.,  8.])
    """
    require_shapes(values=(values, "N"), videos=(videos, "N"))
    result = torch.empty_like(values)
    for number in videos.unique():
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
        >>> smoother(torch.tensor([0.0, 0.0, 100.0])).round(), smoother(torch.tensor([0.0])).round()
        (tensor([ 0.,  0., 88.]), tensor([12.]))
        >>> smoother = StreamSmoother(0.5, causal=False)
        >>> smoother(torch.tensor([0.0, 0.0, 100.0])).round(), smoother.finish().round()
        (tensor([0.]), tensor([11., 88.]))
    """

    def __init__(self, sigma: float, *, causal: bool) -> None:
        self._sigma, self._causal = sigma, causal
        self._reach = smoothing_reach(sigma)
        self._known: Tensor | None = None
        self._smoothed = 0  # of the known values, how many are smoothed already

    def __call__(self, values: Tensor) -> Tensor:
        """Add the next values of the series.

        Args:
            values: (T, …), in order.

        Returns:
            (N, …), the next smoothed values; with ``causal`` those of ``values``.
        """
        known = values if self._known is None else torch.cat([self._known, values])
        return self._smooth(known, len(known) - (0 if self._causal else self._reach))

    def finish(self) -> Tensor:
        """Return the last smoothed values, (N, …), and begin another series.

        Raises:
            ValueError: There is no value.
        """
        if self._known is None:
            raise ValueError("a series without values cannot be smoothed")
        last = self._smooth(self._known, len(self._known))
        self._known, self._smoothed = None, 0
        return last

    def _smooth(self, known: Tensor, end: int) -> Tensor:
        """Smooth the known values up to an end, and forget those that no later one needs."""
        end = max(end, self._smoothed)
        smoothed = smooth_over_time(known, self._sigma, causal=self._causal)[self._smoothed : end]
        forgotten = max(end - self._reach, 0)
        self._known, self._smoothed = known[forgotten:], end - forgotten
        return smoothed
