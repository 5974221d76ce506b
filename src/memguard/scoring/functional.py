"""Scores: from a frame's error and its distance to the memory to how anomalous it is.

Pure functions. Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection",
CVPR 2020, section 3.4, equations 13-18; what is said of patches, smoothing and the widest range is
our own.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.model.shapes import require_shapes

Values = TypeVar("Values", np.ndarray, Tensor)

# A frame painted without any error would have an infinite PSNR, and spoil its video's maximum.
SMALLEST_ERROR = 1e-10

# Patches overlap by three quarters each way, so that one lies well over whatever is in the picture.
PATCH_STEPS = 4
# A Gaussian is cut off here, in standard deviations; what is left out is 0.006 % of it.
GAUSSIAN_REACH = 4


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Error of each value, ((Î+1)/2 − (I+1)/2)², of frames in [−1, 1].

    Args:
        output: (B, C, H, W), values in [−1, 1].
        target: The same shape.

    Returns:
        The same shape, in [0, 1].

    Raises:
        ValueError: A shape is another one.
    """
    require_shapes(output=(output, "B C H W"), target=(target, "B C H W"))
    return ((output.float() - target.float()) / 2).square()


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each frame in dB, 10·log₁₀(1 / mean e) (equation 14).

    Args:
        output: (B, C, H, W), what was painted, values in [−1, 1].
        target: The same shape, what was there.

    Returns:
        (B,); at most 100 dB, where the error is below what 8-bit video can hold.

    Raises:
        ValueError: A shape is another one.

    Example:
        >>> psnr(torch.full((1, 1, 2, 2), 0.2), torch.zeros(1, 1, 2, 2))
        tensor([20.])
    """
    error = squared_error(output, target).flatten(1).mean(dim=1)
    return -10 * error.clamp(min=SMALLEST_ERROR).log10()


def regular_score(output: Tensor, target: Tensor) -> Tensor:
    """Error of each frame weighted by itself: what the guard compares with γ (equation 8).

    E = Σ w·e / Σ w with w = 1 − exp(−e): large errors count, the calm background does not. It is
    not the mean error, nor the PSNR.

    Args:
        output: (B, C, H, W), values in [−1, 1].
        target: The same shape.

    Returns:
        (B,); 0 for a frame without error.

    Raises:
        ValueError: A shape is another one.
    """
    error = squared_error(output, target).flatten(1)
    weight = -torch.expm1(-error)
    return (weight * error).sum(dim=1) / weight.sum(dim=1).clamp(min=torch.finfo(error.dtype).tiny)


def feature_distance(query: Tensor, nearest: Tensor) -> Tensor:
    """Mean squared error of each frame's queries against their nearest items (equation 13).

    Args:
        query: (B, K, C), unit rows.
        nearest: (B, K, C), the item nearest to each.

    Returns:
        (B,).

    Raises:
        ValueError: A shape is another one.
    """
    require_shapes(query=(query, "B K C"), nearest=(nearest, "B K C"))
    return (query - nearest).square().flatten(1).mean(dim=1)


def patch_error(output: Tensor, target: Tensor, patch: Sequence[float]) -> Tensor:
    """Squared error of each frame averaged over patches: where in the picture it is painted badly.

    An average over the whole picture hides something small; a single pixel is mostly noise. Patches
    of the size of what moves in the picture lie between.

    Args:
        output: (B, C, H, W), values in [−1, 1].
        target: The same shape.
        patch: Height and width of a patch as shares of the picture's, each in (0, 1].

    Returns:
        (B, rows, columns) in [0, 1]; patches overlap by three quarters of their height and width.

    Raises:
        ValueError: A shape is another one.

    Example:
        >>> painted = torch.zeros(1, 1, 8, 8)
        >>> painted[..., :4, :4] = 0.2
        >>> patch_error(painted, torch.zeros(1, 1, 8, 8), (0.5, 0.5))[0, ::4, ::4]
        tensor([[0.0100, 0.0000],
                [0.0000, 0.0000]])
    """
    error = squared_error(output, target).mean(dim=1)
    size, stride = _patch_layout(patch, error.shape[1:])
    return F.avg_pool2d(error, size, stride)


def patch_box(
    row: int, column: int, patch: Sequence[float], frame: Sequence[int], picture: Sequence[int]
) -> tuple[int, int, int, int]:
    """Find where in the picture a patch of :func:`patch_error` lies.

    Args:
        row: Of the patch.
        column: Of the patch.
        patch: Height and width of a patch as shares of the picture's.
        frame: Height and width of the frame that was painted.
        picture: Height and width of the picture as it was filmed.

    Returns:
        Left, top, right and bottom in pixels of the picture; right and bottom are past the end.

    Example:
        >>> patch_box(4, 0, (0.5, 0.5), frame=(8, 8), picture=(240, 320))
        (0, 120, 160, 240)
    """
    size, stride = _patch_layout(patch, frame)
    corner = (row * stride[0], column * stride[1])
    scale = [filmed / painted for filmed, painted in zip(picture, frame, strict=True)]
    top, left = (round(start * by) for start, by in zip(corner, scale, strict=True))
    bottom, right = (
        round((start + side) * by) for start, side, by in zip(corner, size, scale, strict=True)
    )
    return left, top, right, bottom


def worst_places(
    errors: Tensor, smoothed: Tensor, patch: Sequence[float], frame: Sequence[int]
) -> Tensor:
    """Find the patch of each frame that its score is made of.

    The smoothed errors decide on the score, but they trail behind a moving object. So the place is
    the worst patch of the frame itself among those that overlap its worst smoothed patch: a larger
    error elsewhere that lasts for one frame alone does not draw the box away.

    Args:
        errors: (T, rows, columns), from :func:`patch_error`.
        smoothed: The same shape, from :func:`smooth_over_time`.
        patch: Height and width of a patch as shares of the picture's.
        frame: Height and width of the frame in pixels.

    Returns:
        (T, 2), the row and the column of each frame's patch, as :func:`patch_box` takes them.

    Raises:
        ValueError: A shape is another one.

    Example:
        >>> errors = torch.tensor([[[9.0, 0, 0, 0, 0, 0, 3, 4, 0]]])  # a flash on the left
        >>> smoothed = torch.tensor([[[1.0, 0, 0, 0, 0, 0, 3, 2, 0]]])
        >>> worst_places(errors, smoothed, (1, 0.5), frame=(1, 16))
        tensor([[0, 7]])
    """
    require_shapes(errors=(errors, "T rows columns"), smoothed=(smoothed, "T rows columns"))
    size, stride = _patch_layout(patch, frame)
    score_row, score_column = _places(smoothed).unbind(dim=1)
    row, column = (torch.arange(side, device=errors.device) for side in errors.shape[1:])
    apart = (row - score_row[:, None]).abs() * stride[0] < size[0]
    aside = (column - score_column[:, None]).abs() * stride[1] < size[1]
    overlaps = apart[:, :, None] & aside[:, None, :]
    return _places(errors.masked_fill(~overlaps, -torch.inf))


def _places(errors: Tensor) -> Tensor:
    """The row and the column of each frame's highest value, (T, 2), of (T, rows, columns)."""
    place = errors.flatten(1).argmax(dim=1)
    return torch.stack([place // errors.shape[2], place % errors.shape[2]], dim=1)


def _patch_layout(patch: Sequence[float], frame: Sequence[int]) -> tuple[list[int], list[int]]:
    """Height and width of a patch, and from one to the next, in pixels of the painted frame."""
    size = [max(round(share * side), 1) for share, side in zip(patch, frame, strict=True)]
    return size, [max(side // PATCH_STEPS, 1) for side in size]


def smooth_over_time(values: Tensor, sigma: float, *, causal: bool = False) -> Tensor:
    """Average successive frames' values with the weights of a Gaussian.

    At the ends the frames that are there share the whole weight.

    Args:
        values: (T, …), in order, of one video.
        sigma: Standard deviation in frames; 0 leaves the values as they are.
        causal: Only a frame and those before it count, so that a live camera's score need not wait.

    Returns:
        The same shape.

    Example:
        >>> smooth_over_time(torch.tensor([0.0, 0.0, 100.0, 0.0, 0.0]), 0.5).round()
        tensor([ 0., 11., 79., 11.,  0.])
        >>> smooth_over_time(torch.tensor([0.0, 0.0, 100.0, 0.0, 0.0]), 0.5, causal=True).round()
        tensor([ 0.,  0., 88., 12.,  0.])
    """
    reach = round(GAUSSIAN_REACH * sigma)
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


class CausalSmoother:
    """Smooths an endless series as :func:`smooth_over_time` does a whole one with ``causal``.

    It keeps the few values of the past that still count, and nothing else.

    Args:
        sigma: Standard deviation in frames.

    Example:
        >>> smoother = CausalSmoother(0.5)
        >>> smoother(torch.tensor([0.0, 0.0, 100.0])).round(), smoother(torch.tensor([0.0])).round()
        (tensor([ 0.,  0., 88.]), tensor([12.]))
    """

    def __init__(self, sigma: float) -> None:
        self._sigma = sigma
        self._reach = round(GAUSSIAN_REACH * sigma)
        self._past: Tensor | None = None

    def __call__(self, values: Tensor) -> Tensor:
        """Smooth the values, (T, …), that follow those given before; the same shape."""
        known = values if self._past is None else torch.cat([self._past, values])
        self._past = known[max(len(known) - self._reach, 0) :]
        return smooth_over_time(known, self._sigma, causal=True)[-len(values) :]


def normalise_per_video(values: Values, videos: Sequence[Any] | np.ndarray | Tensor) -> Values:
    """Stretch each video's values to [0, 1]: g(x) = (x − min) / (max − min) (equation 16).

    A video whose values are all alike gets zeros.

    Args:
        values: (N,), a value per frame; an array or a tensor.
        videos: N names or numbers, the video of each frame.

    Returns:
        (N,), the same kind as ``values``.

    Raises:
        ValueError: A shape is another one.

    Example:
        >>> normalise_per_video(np.array([1.0, 3.0, 2.0, 7.0]), ["a", "a", "a", "b"])
        array([0. , 1. , 0.5, 0. ])
    """
    if isinstance(values, Tensor):
        plain = values.detach().cpu().numpy()
        return torch.from_numpy(normalise_per_video(plain, videos)).to(values.device)
    names = videos.cpu().numpy() if isinstance(videos, Tensor) else np.asarray(videos)
    require_shapes(values=(values, "N"), videos=(names, "N"))
    result = np.zeros(values.shape, dtype=np.result_type(values.dtype, np.float32))
    for name in np.unique(names):
        of_video = names == name
        low, high = values[of_video].min(), values[of_video].max()
        if high > low:
            result[of_video] = (values[of_video] - low) / (high - low)
    return result


def normalise_by_widest(values: Tensor, videos: Tensor) -> Tensor:
    """Measure each video's values from its lowest, in units of the widest range of any video.

    A video in which they hardly vary stays near 0, where :func:`normalise_per_video` stretches it
    to [0, 1]; and one that lies higher than others as a whole is not taken for anomalous.

    Args:
        values: (N,), a value per frame.
        videos: (N,), the number of each frame's video.

    Returns:
        (N,), in [0, 1]; zeros where no video's values vary.

    Raises:
        ValueError: A shape is another one.

    Example:
        >>> values, videos = torch.tensor([1.0, 5.0, 7.0, 8.0]), torch.tensor([0, 0, 1, 1])
        >>> normalise_by_widest(values, videos)
        tensor([0.0000, 1.0000, 0.0000, 0.2500])
    """
    require_shapes(values=(values, "N"), videos=(videos, "N"))
    above = torch.empty_like(values)
    for number in videos.unique():
        of_video = videos == number
        above[of_video] = values[of_video] - values[of_video].min()
    return above / above.max() if above.any() else above


def smooth_per_video(
    values: Tensor, videos: Tensor, sigma: float, *, causal: bool = False
) -> Tensor:
    """Smooth each video's values over time; see :func:`smooth_over_time`.

    Args:
        values: (N,), a value per frame, each video's in order.
        videos: (N,), the number of each frame's video.
        sigma: Standard deviation in frames.
        causal: Only a frame and those before it count.

    Returns:
        (N,).

    Raises:
        ValueError: A shape is another one.
    """
    require_shapes(values=(values, "N"), videos=(videos, "N"))
    result = torch.empty_like(values)
    for number in videos.unique():
        of_video = videos == number
        result[of_video] = smooth_over_time(values[of_video], sigma, causal=causal)
    return result


def anomaly_score(
    psnr: Values, distance: Values, videos: Sequence[Any] | np.ndarray | Tensor, weight: float
) -> Values:
    """Join both terms into the published score, S = λ·(1 − g(PSNR)) + (1 − λ)·g(D) (equation 18).

    Args:
        psnr: (N,), dB; an array or a tensor.
        distance: (N,), of the same kind; see :func:`feature_distance`.
        videos: N names or numbers, the video of each frame. One name for all frames gives the
            score without normalisation per video: both terms are then stretched over the whole set.
        weight: λ in [0, 1], the share of the PSNR term; 0.6 for ``pred`` and 0.7 for ``recon``.

    Returns:
        (N,), in [0, 1]; 1 is as anomalous as its video gets.

    Raises:
        ValueError: A shape is another one.

    Example:
        >>> anomaly_score(np.array([30.0, 20.0]), np.array([0.1, 0.2]), ["a", "a"], weight=0.6)
        array([0., 1.])
    """
    names = videos if isinstance(videos, Tensor) else np.asarray(videos)
    require_shapes(psnr=(psnr, "N"), distance=(distance, "N"), videos=(names, "N"))
    unlike = 1 - normalise_per_video(psnr, videos)
    return weight * unlike + (1 - weight) * normalise_per_video(distance, videos)
