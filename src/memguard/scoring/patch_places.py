"""The places of patches: their layout in a frame, and the patches with the largest errors."""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from memguard.model.shapes import require_shapes
from memguard.scoring.arrays import takes_tensors

# Patches overlap by three quarters: one of them is always well centred on an object.
PATCH_STEPS = 4


def pooled(error: np.ndarray, sizes: Sequence[Sequence[float]]) -> np.ndarray:
    """Average the errors of pixels over patches, as :func:`~memguard.scoring.patch_errors` does.

    Args:
        error: (T, H, W), the squared error of each pixel.
        sizes: For each of S sizes, height and width of a patch as shares of the frame's.

    Returns:
        (T, S, rows, columns).

    Example:
        >>> pooled(np.array([[[0.4, 0.0, 0.0, 0.2]]]), [(1, 0.5), (1, 1)])
        array([[[[0.2 , 0.  , 0.1 ]],
        <BLANKLINE>
                [[0.15, 0.  , 0.  ]]]])
    """
    maps = []
    for patch in sizes:
        size, (down, across) = patch_layout(patch, error.shape[1:])
        windows = sliding_window_view(error, size, axis=(1, 2))[:, ::down, ::across]
        maps.append(windows.mean(axis=(3, 4)))
    rows, columns = (max(each.shape[side] for each in maps) for side in (1, 2))
    found = np.zeros((len(error), len(maps), rows, columns), error.dtype)
    for place, each in enumerate(maps):
        found[:, place, : each.shape[1], : each.shape[2]] = each
    return found


@takes_tensors
def worst_patch(errors: np.ndarray) -> np.ndarray:
    """Join the largest patch errors of all sizes: their geometric mean.

    The geometric mean needs no weights: an object that doubles the error of any one size raises it
    by the same factor.

    Args:
        errors: (T, S, rows, columns), from :func:`~memguard.scoring.patch_errors`; an array or a
            tensor.

    Returns:
        (T,), mean squared errors, in [0, 1].

    Raises:
        ValueError: If ``errors`` has another shape.

    Example:
        >>> worst_patch(np.array([[[[0.1, 0.4]], [[0.1, 0.0]]]])).round(4)
        array([0.2])
    """
    require_shapes(errors=(errors, "T S rows columns"))
    return _geometric_mean(errors.max(axis=(2, 3)))


@takes_tensors
def errors_of_places(
    errors: np.ndarray, sizes: Sequence[Sequence[float]], frame: Sequence[int]
) -> np.ndarray:
    """Join, at each place of the first size, the errors of the patches of all sizes around it.

    Args:
        errors: (T, S, rows, columns), from :func:`~memguard.scoring.patch_errors`.
        sizes: The sizes of the patches.
        frame: Height and width of the network's frame, pixels.

    Returns:
        (T, rows, columns) of the first size: geometric means over the sizes, of the patches whose
        centres are nearest.

    Raises:
        ValueError: If ``errors`` has another shape.

    Example:
        >>> errors = np.array([[[[1.0, 4, 4, 1]], [[4.0, 0, 0, 0]]]])
        >>> errors_of_places(errors, [(1, 0.25), (1, 1)], frame=(1, 4))
        array([[[2., 4., 4., 2.]]])
    """
    require_shapes(errors=(errors, "T S rows columns"))
    around = []
    for place, size in enumerate(sizes):
        row, column = (_nearest(sizes[0][side], size[side], frame[side]) for side in (0, 1))
        around.append(errors[:, place, row[:, None], column])
    return _geometric_mean(np.stack(around, axis=1))


def _geometric_mean(errors: np.ndarray) -> np.ndarray:
    """Return the geometric mean over dimension 1; of one size, its errors to the last bit."""
    return np.asarray((errors ** (1 / errors.shape[1])).prod(axis=1))


def _nearest(fine: float, coarse: float, side: int) -> np.ndarray:
    """Return, for each place of a fine size along a side, the nearest place of a coarse one."""
    (fine_size, coarse_size), (fine_stride, coarse_stride) = patch_layout(
        (fine, coarse), (side, side)
    )
    centre = np.arange((side - fine_size) // fine_stride + 1) * fine_stride + fine_size / 2
    place = ((centre - coarse_size / 2) / coarse_stride).round().astype(int)
    return place.clip(0, (side - coarse_size) // coarse_stride)


def patch_box(
    row: int, column: int, patch: Sequence[float], frame: Sequence[int], picture: Sequence[int]
) -> tuple[int, int, int, int]:
    """Return the box of a patch of :func:`~memguard.scoring.patch_error` in the picture.

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


@takes_tensors
def worst_places(
    errors: np.ndarray, smoothed: np.ndarray, patch: Sequence[float], frame: Sequence[int]
) -> np.ndarray:
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
        >>> errors = np.array([[[9.0, 0, 0, 0, 0, 0, 3, 4, 0]]])  # a flash on the left
        >>> smoothed = np.array([[[1.0, 0, 0, 0, 0, 0, 3, 2, 0]]])
        >>> worst_places(errors, smoothed, (1, 0.5), frame=(1, 16))
        array([[0, 7]])
    """
    require_shapes(errors=(errors, "T rows columns"), smoothed=(smoothed, "T rows columns"))
    size, stride = patch_layout(patch, frame)
    worst_row, worst_column = _argmax(smoothed).T
    row, column = (np.arange(side) for side in errors.shape[1:])
    near_rows = np.abs(row - worst_row[:, None]) * stride[0] < size[0]
    near_columns = np.abs(column - worst_column[:, None]) * stride[1] < size[1]
    overlaps = near_rows[:, :, None] & near_columns[:, None, :]
    return _argmax(np.where(overlaps, errors, -np.inf))


def _argmax(errors: np.ndarray) -> np.ndarray:
    """Return the row and the column of each frame's largest value, (T, 2)."""
    rows, columns = errors.shape[1:]
    place = errors.reshape(len(errors), rows * columns).argmax(axis=1)
    return np.stack(divmod(place, columns), axis=1)


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
