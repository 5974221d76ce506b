"""Normalisation of scores over videos."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from memguard.model.shapes import require_shapes

Values = TypeVar("Values", np.ndarray, Tensor)


def normalise_per_video(values: Values, videos: Sequence[Any] | np.ndarray | Tensor) -> Values:
    """Min–max normalise each video's values, g(x) = (x − min) / (max − min).

    Source: Park, Noh, Ham, CVPR 2020, equation 16.

    Args:
        values: (N,), a value per frame; an array or a tensor.
        videos: N names or numbers, the video of each frame.

    Returns:
        (N,), in [0, 1], of the type of ``values``; zeros for a video with equal values.

    Raises:
        ValueError: If an argument has another shape.

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
    """Subtract each video's minimum, and divide by the widest range of any video.

    A video with nearly constant values stays near 0, where :func:`normalise_per_video` gives it the
    whole range. The level of a video does not count.

    Args:
        values: (N,), a value per frame.
        videos: (N,), the number of each frame's video.

    Returns:
        (N,), in [0, 1]; zeros if the values of each video are equal.

    Raises:
        ValueError: If an argument has another shape.

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
