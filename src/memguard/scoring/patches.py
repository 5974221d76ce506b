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


def worst_patch(errors: Tensor) -> Tensor:
    """Join the largest patch errors of all sizes: their geometric mean.

    The geometric mean needs no weights: an object that doubles the error of any one size raises it
    by the same factor.

    Args:
        errors: (T, S, rows, columns), from :func:`patch_errors`.

    Returns:
        (T,), mean squared errors, in [0, 1].

    Raises:
        ValueError: If ``errors`` has another shape.

    Example:
        >>> worst_patch(torch.tensor([[[[0.1, 0.4]], [[0.1, 0.0]]]]))
        tensor([0.2000])
    """
    require_shapes(errors=(errors, "T S rows columns"))
    return _geometric_mean(errors.flatten(2).amax(dim=2))


def errors_of_places(
    errors: Tensor, sizes: Sequence[Sequence[float]], frame: Sequence[int]
) -> Tensor:
    """Join, at each place of the first size, the errors of the patches of all sizes around it.

    Args:
        errors: (T, S, rows, columns), from :func:`patch_errors`.
        sizes: The sizes of the patches.
        frame: Height and width of the network's frame, pixels.

    Returns:
        (T, rows, columns) of the first size: geometric means over the sizes, of the patches whose
        centres are nearest.

    Raises:
        ValueError: If ``errors`` has another shape.

    Example:
        >>> errors = torch.tensor([[[[1.0, 4, 4, 1]], [[4.0, 0, 0, 0]]]])
        >>> errors_of_places(errors, [(1, 0.25), (1, 1)], frame=(1, 4))
        tensor([[[2., 4., 4., 2.]]])
    """
    require_shapes(errors=(errors, "T S rows columns"))
    around = []
    for place, size in enumerate(sizes):
        row, column = (
            _nearest(sizes[0][side], size[side], frame[side]).to(errors.device) for side in (0, 1)
        )
        around.append(errors[:, place, row[:, None], column])
    return _geometric_mean(torch.stack(around, dim=1))


def _geometric_mean(errors: Tensor) -> Tensor:
    """Return the geometric mean over dimension 1; of one size, its errors to the last bit."""
    return errors.pow(1 / errors.shape[1]).prod(dim=1)


def _nearest(fine: float, coarse: float, side: int) -> Tensor:
    """Return, for each place of a fine size along a side, the nearest place of a coarse one."""
    (fine_size, coarse_size), (fine_stride, coarse_stride) = patch_layout(
        (fine, coarse), (side, side)
    )
    centre = torch.arange((side - fine_size) // fine_stride + 1) * fine_stride + fine_size / 2
    place = ((centre - coarse_size / 2) / coarse_stride).round().long()
    return place.clamp(0, (side - coarse_size) // coarse_stride)


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
    size, stride = patch_layout(patch, frame)
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
        errors: (T, rows, columns), from :func:`errors_of_places`.
        smoothed: The same shape, of errors smoothed over time.
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
    size, stride = patch_layout(patch, frame)
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


def patch_layout(patch: Sequence[float], frame: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return height and width of a patch, and the strides between patches, pixels.

    Args:
        patch: Height and width of a patch as shares of the frame's.
        frame: Height and width of the network's frame, pixels.

    Example:
        >>> patch_layout((0.25, 0.5), frame=(32, 32))
        ([8, 16], [2, 4])
    """
    size = [max(round(share * side), 1) for share, side in zip(patch, frame, strict=True)]
    return size, [max(side // PATCH_STEPS, 1) for side in size]
