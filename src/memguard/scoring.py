"""Scores: from a frame's error and its distance to the memory to how anomalous it is.

Pure functions. Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection",
CVPR 2020, section 3.4, equations 13-18.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Values = TypeVar("Values", np.ndarray, Tensor)

# A frame painted without any error would have an infinite PSNR, and spoil its video's maximum.
SMALLEST_ERROR = 1e-10


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Error of each value, ((Î+1)/2 − (I+1)/2)², of frames in [−1, 1]; same shape, in [0, 1]."""
    return ((output.float() - target.float()) / 2).square()


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each frame in dB, 10·log₁₀(1 / mean e) (equation 14).

    Args:
        output: (B, C, H, W), what was painted, values in [−1, 1].
        target: The same shape, what was there.

    Returns:
        (B,); at most 100 dB, where the error is below what 8-bit video can hold.

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
    """
    return (query - nearest).square().flatten(1).mean(dim=1)


def normalise_per_video(values: Values, videos: Sequence[Any] | np.ndarray | Tensor) -> Values:
    """Stretch each video's values to [0, 1]: g(x) = (x − min) / (max − min) (equation 16).

    A video whose values are all alike gets zeros.

    Args:
        values: (N,), a value per frame; an array or a tensor.
        videos: N names or numbers, the video of each frame.

    Returns:
        (N,), the same kind as ``values``.

    Example:
        >>> normalise_per_video(np.array([1.0, 3.0, 2.0, 7.0]), ["a", "a", "a", "b"])
        array([0. , 1. , 0.5, 0. ])
    """
    if isinstance(values, Tensor):
        plain = values.detach().cpu().numpy()
        return torch.from_numpy(normalise_per_video(plain, videos)).to(values.device)
    names = videos.cpu().numpy() if isinstance(videos, Tensor) else np.asarray(videos)
    result = np.zeros(values.shape, dtype=np.result_type(values.dtype, np.float32))
    for name in np.unique(names):
        of_video = names == name
        low, high = values[of_video].min(), values[of_video].max()
        if high > low:
            result[of_video] = (values[of_video] - low) / (high - low)
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

    Example:
        >>> anomaly_score(np.array([30.0, 20.0]), np.array([0.1, 0.2]), ["a", "a"], weight=0.6)
        array([0., 1.])
    """
    unlike = 1 - normalise_per_video(psnr, videos)
    return weight * unlike + (1 - weight) * normalise_per_video(distance, videos)
