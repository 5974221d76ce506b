"""The equations of the published score, as pure functions.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
sections 3.2 and 3.4, equations 8 and 13-18.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from memguard.model.shapes import require_shapes
from memguard.scoring.normalisation import Values, normalise_per_video

# The PSNR of a frame without error would be infinite, and spoil the range of its video.
SMALLEST_ERROR = 1e-10


def squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Compute the error of each value, e = ((Î+1)/2 − (I+1)/2)².

    Args:
        output: (B, C, H, W), values in [−1, 1].
        target: The same shape.

    Returns:
        The same shape, in [0, 1].

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> squared_error(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1))
        tensor([[[[0.2500]]]])
    """
    require_shapes(output=(output, "B C H W"), target=(target, "B C H W"))
    return ((output.float() - target.float()) / 2).square()


def psnr(output: Tensor, target: Tensor) -> Tensor:
    """Compute the peak signal-to-noise ratio of each frame, 10·log₁₀(1 / mean e) (equation 14).

    Args:
        output: (B, C, H, W), the predicted or reconstructed frames, values in [−1, 1].
        target: The same shape, the true frames.

    Returns:
        (B,), dB; at most 100 dB, an error below the precision of 8-bit video.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> psnr(torch.full((1, 1, 2, 2), 0.2), torch.zeros(1, 1, 2, 2))
        tensor([20.])
    """
    error = squared_error(output, target).flatten(1).mean(dim=1)
    return -10 * error.clamp(min=SMALLEST_ERROR).log10()


def regular_score(output: Tensor, target: Tensor) -> Tensor:
    """Compute the regular score of each frame, which the guard compares with γ (equation 8).

    E = Σ w·e / Σ w with w = 1 − exp(−e), the mean of the errors weighted by themselves. It is
    neither the mean error nor the PSNR: large errors dominate, a still background hardly counts.

    Args:
        output: (B, C, H, W), the predicted or reconstructed frames, values in [−1, 1].
        target: The same shape, the true frames.

    Returns:
        (B,); 0 for a frame without error.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> output = torch.tensor([2.0, 0.0]).view(1, 1, 1, 2)  # errors 1 and 0
        >>> regular_score(output, torch.zeros(1, 1, 1, 2))
        tensor([1.])
    """
    error = squared_error(output, target).flatten(1)
    weight = -torch.expm1(-error)
    return (weight * error).sum(dim=1) / weight.sum(dim=1).clamp(min=torch.finfo(error.dtype).tiny)


def feature_distance(query: Tensor, nearest: Tensor) -> Tensor:
    """Compute the mean squared error of each frame's queries and their items (equation 13).

    Args:
        query: (B, K, C), unit rows.
        nearest: (B, K, C), the item nearest to each query.

    Returns:
        (B,).

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> feature_distance(torch.tensor([[[0.6, 0.8]]]), torch.tensor([[[0.0, 1.0]]]))
        tensor([0.2000])
    """
    require_shapes(query=(query, "B K C"), nearest=(nearest, "B K C"))
    return (query - nearest).square().flatten(1).mean(dim=1)


def anomaly_score(
    psnr: Values, distance: Values, videos: Sequence[Any] | np.ndarray | Tensor, weight: float
) -> Values:
    """Join both terms to the published score, S = λ·(1 − g(PSNR)) + (1 − λ)·g(D) (equation 18).

    g is :func:`~memguard.scoring.normalise_per_video`.

    Args:
        psnr: (N,), dB; an array or a tensor.
        distance: (N,), of the same type; see :func:`feature_distance`.
        videos: N names or numbers, the video of each frame. With one name for all frames, both
            terms are min–max normalised over the whole set.
        weight: λ in [0, 1], the share of the PSNR term; 0.6 for ``pred`` and 0.7 for ``recon``.

    Returns:
        (N,), in [0, 1]; 1 for the most anomalous frame possible.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> anomaly_score(np.array([30.0, 20.0]), np.array([0.1, 0.2]), ["a", "a"], weight=0.6)
        array([0., 1.])
    """
    names = videos if isinstance(videos, Tensor) else np.asarray(videos)
    require_shapes(psnr=(psnr, "N"), distance=(distance, "N"), videos=(names, "N"))
    error = 1 - normalise_per_video(psnr, videos)
    return weight * error + (1 - weight) * normalise_per_video(distance, videos)
