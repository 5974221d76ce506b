"""Patch errors: the squared error of each part of a frame, and the part with the largest.

The mean error of a whole frame hides a small object, and the error of a single pixel is mostly
noise. Patches of the size of moving objects lie between.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.scoring.functional import squared_error
from memguard.scoring.patch_places import patch_layout


def patch_error(output: Tensor, target: Tensor, patch: Sequence[float]) -> Tensor:
    """Average the squared error of each frame over patches.

    Args:
        output: (B, C, H, W), the predicted or reconstructed frames, values in [−1, 1].
        target: The same shape, the true frames.
        patch: Height and width of a patch as shares of the frame's, each in (0, 1].

    Returns:
        (B, rows, columns), in [0, 1]; patches overlap by three quarters of their height and width.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> output = torch.zeros(1, 1, 8, 8)
        >>> output[..., :4, :4] = 0.2
        >>> patch_error(output, torch.zeros(1, 1, 8, 8), (0.5, 0.5))[0, ::4, ::4]
        tensor([[0.0100, 0.0000],
                [0.0000, 0.0000]])
    """
    error = squared_error(output, target).mean(dim=1)
    return F.avg_pool2d(error, *patch_layout(patch, error.shape[1:]))


def patch_errors(output: Tensor, target: Tensor, sizes: Sequence[Sequence[float]]) -> Tensor:
    """Average the squared error of each frame over patches of several sizes.

    Args:
        output: (B, C, H, W), the predicted or reconstructed frames, values in [−1, 1].
        target: The same shape, the true frames.
        sizes: For each of S sizes, height and width of a patch as shares of the frame's.

    Returns:
        (B, S, rows, columns): the map of each size as :func:`patch_error` has it, from the upper
        left corner, and zeros beyond it, since larger patches have fewer places.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> output = torch.zeros(1, 1, 4, 4)
        >>> output[..., 0, 0] = 0.4
        >>> patch_errors(output, torch.zeros(1, 1, 4, 4), [(0.5, 0.25), (0.5, 1)])[0, :, 0]
        tensor([[0.0200, 0.0000, 0.0000, 0.0000],
                [0.0050, 0.0000, 0.0000, 0.0000]])
    """
    error = squared_error(output, target).mean(dim=1)
    maps = [F.avg_pool2d(error, *patch_layout(size, error.shape[1:])) for size in sizes]
    rows, columns = (max(each.shape[side] for each in maps) for side in (1, 2))
    return torch.stack(
        [F.pad(each, (0, columns - each.shape[2], 0, rows - each.shape[1])) for each in maps], dim=1
    )
