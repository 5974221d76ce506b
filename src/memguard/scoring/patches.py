"""Patch errors: the squared error of each part of a frame, and the part with the largest.

The mean error of a whole frame hides a small object, and the error of a single pixel is mostly
noise. Patches of the size of moving objects lie between.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.model.shapes import require_shapes
from memguard.scoring.functional import squared_error

# Patches overlap by three quarters: one of them is always well centred on an object.
PATCH_STEPS = 4


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
    size, stride = _patch_layout(patch, error.shape[1:])
    return F.avg_pool2d(error, size, stride)


def patch_box(
    row: int, column: int, patch: Sequence[float], frame: Sequence[int], picture: Sequence[int]
) -> tuple[int, int, int, int]:
    """Return the box of a patch of :func:`patch_error` in the picture.

    Args:
        row: The row of the patch.
        column: The column of the patch.
        patch: Height and width of a patch as shares of the frame's.
        frame: Height and width of the network's frame, pixels.
        picture: Height and width of the recorded picture, pixels.

    Returns:
        Left, top, right and bottom in pixels of the picture; right and bottom are exclusive.

    Example:
        >>> patch_box(4, 0, (0.5, 0.5), frame=(8, 8), picture=(240, 320))
        (0, 120, 160, 240)
    """
    size, stride = _patch_layout(patch, frame)
    corner = (row * stride[0], column * stride[1])
    scale = [recorded / scored for recorded, scored in zip(picture, frame, strict=True)]
    top, left = (round(start * by) for start, by in zip(corner, scale, strict=True))
    bottom, right = (
        round((start + side) * by) for start, side, by in zip(corner, size, scale, strict=True)
    )
    return left, top, right, bottom


def worst_places(
    errors: Tensor, smoothed: Tensor, patch: Sequence[float], frame: Sequence[int]
) -> Tensor:
    """Find the patch of each frame that decides its score.

    The worst smoothed patch decides the score, but it trails behind a moving object. The place is
    therefore the patch with the largest error of the frame itself among those that overlap the
    worst smoothed patch. A larger error elsewhere for a single frame does not move the box.

    Args:
        errors: (T, rows, columns), from :func:`patch_error`.
        smoothed: The same shape, from :func:`~memguard.scoring.smooth_over_time`.
        patch: Height and width of a patch as shares of the frame's.
        frame: Height and width of the network's frame, pixels.

    Returns:
        (T, 2), the row and the column of each frame's patch, for :func:`patch_box`.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> errors = torch.tensor([[[9.0, 0, 0, 0, 0, 0, 3, 4, 0]]])  # a flash on the left
        >>> smoothed = torch.tensor([[[1.0, 0, 0, 0, 0, 0, 3, 2, 0]]])
        >>> worst_places(errors, smoothed, (1, 0.5), frame=(1, 16))
        tensor([[0, 7]])
    """
    require_shapes(errors=(errors, "T rows columns"), smoothed=(smoothed, "T rows columns"))
    size, stride = _patch_layout(patch, frame)
    worst_row, worst_column = _argmax(smoothed).unbind(dim=1)
    row, column = (torch.arange(side, device=errors.device) for side in errors.shape[1:])
    near_rows = (row - worst_row[:, None]).abs() * stride[0] < size[0]
    near_columns = (column - worst_column[:, None]).abs() * stride[1] < size[1]
    overlaps = near_rows[:, :, None] & near_columns[:, None, :]
    return _argmax(errors.masked_fill(~overlaps, -torch.inf))


def _argmax(errors: Tensor) -> Tensor:
    """Return the row and the column of each frame's largest value, (T, 2)."""
    place = errors.flatten(1).argmax(dim=1)
    return torch.stack([place // errors.shape[2], place % errors.shape[2]], dim=1)


def _patch_layout(patch: Sequence[float], frame: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return height and width of a patch, and the strides between patches, pixels."""
    size = [max(round(share * side), 1) for share, side in zip(patch, frame, strict=True)]
    return size, [max(side // PATCH_STEPS, 1) for side in size]
