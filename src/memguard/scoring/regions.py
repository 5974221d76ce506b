"""Regions: the places of a frame with large errors, each with its box and score."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import label as connected

from memguard.model.shapes import require_shapes
from memguard.scoring.arrays import takes_tensors
from memguard.scoring.patch_places import patch_layout

MOST_REGIONS = 5
EDGE = 0.5  # a region ends where the error falls to half of its peak
NEIGHBOURS = np.ones((3, 3))

# Distances in patches: of patches that just overlap, of the errors beside a region that belong to
# it, and of the farthest edge of a region.
OVERLAP, SKIRT, LARGEST = 0.75, 0.75, 4.0

Place = tuple[int, int]
"""The row and the column of a patch."""


class Region(NamedTuple):
    """A place of a picture with large errors.

    Attributes:
        left: The left side of its box, pixels of the picture.
        top: The upper side.
        right: The right side, past the end.
        bottom: The lower side, past the end.
        score: The score of the place, on the scale of its frame's score.
    """

    left: int
    top: int
    right: int
    bottom: int
    score: float


@takes_tensors
def find_regions(
    errors: np.ndarray, smoothed: np.ndarray, patch: Sequence[float], frame: Sequence[int]
) -> np.ndarray:
    """Find the places of each frame with the largest errors, at most five.

    Errors smoothed over time give the score of a region, the frame's own errors its box, because
    the smoothed ones trail behind a moving object. The box holds the connected places around the
    peak with at least half of its error, and a patch at the least. Places beside a region, nearer
    than three quarters of a patch, belong to it: the next region begins beyond them.

    Args:
        errors: (T, rows, columns), from :func:`~memguard.scoring.errors_of_places`.
        smoothed: The same shape, of errors smoothed over time.
        patch: Height and width of a patch as shares of the frame's, the first size.
        frame: Height and width of the network's frame, pixels.

    Returns:
        (T, 5, 5): for each region, the largest score first, left, top, right and bottom in pixels
        of the network's frame, right and bottom exclusive, and the score. NaN where there are
        fewer.

    Raises:
        ValueError: If an argument has another shape.

    Example:
        >>> errors = np.zeros((1, 13, 13))  # patches of 4 × 4 pixels, one pixel apart
        >>> errors[0, 1:5, 2:6], errors[0, 9:12, 8:12] = 0.4, 0.2
        >>> find_regions(errors, errors, (0.25, 0.25), frame=(16, 16))[0, :3]
        array([[ 3.5,  2.5,  7.5,  6.5,  0.4],
               [ 9.5, 10. , 13.5, 14. ,  0.2],
               [ nan,  nan,  nan,  nan,  nan]], dtype=float32)
    """
    require_shapes(errors=(errors, "T rows columns"), smoothed=(smoothed, "T rows columns"))
    layout = _Layout(patch, frame)
    found = np.full((len(errors), MOST_REGIONS, 5), np.nan, dtype=np.float32)
    pairs = zip(errors, smoothed, strict=True)
    for number, (own, decisive) in enumerate(pairs):
        for place, region in enumerate(_regions(own, decisive.copy(), layout)):
            found[number, place] = region
    return found


def region_in(row: Sequence[float], frame: Sequence[int], picture: Sequence[int]) -> Region:
    """Convert a row of :func:`find_regions` to pixels of the recorded picture.

    Args:
        row: Left, top, right and bottom in pixels of the network's frame, and the score.
        frame: Height and width of the network's frame, pixels.
        picture: Height and width of the recorded picture, pixels.

    Example:
        >>> region_in((3.5, 2, 7.5, 8, 0.4), frame=(16, 16), picture=(240, 320))
        Region(left=70, top=30, right=150, bottom=120, score=0.4)
    """
    (height, width), (tall, wide) = frame, picture
    left, top, right, bottom, score = row
    across, down = wide / width, tall / height
    return Region(
        round(left * across), round(top * down), round(right * across), round(bottom * down), score
    )


class _Layout:
    """The patches of a frame: their places, and pixels."""

    def __init__(self, patch: Sequence[float], frame: Sequence[int]) -> None:
        self.size, self.stride = patch_layout(patch, frame)
        self.frame = frame

    def around(self, first: Place, last: Place, patches: float) -> tuple[slice, ...]:
        """Return the rows and columns from one place to another, and as many patches further."""
        sides = zip(self.size, self.stride, strict=True)
        further = [round(patches * size / step) for size, step in sides]
        return tuple(
            slice(max(low - more, 0), high + more + 1)
            for low, high, more in zip(first, last, further, strict=True)
        )

    def sides(self, side: int, first: int, last: int) -> tuple[float, float]:
        """Return the pixels around the centres of places, at least a patch, within the frame.

        No patch is centred on the edges of the frame, so that its outer places stand for them.
        """
        size, step, end = self.size[side], self.stride[side], self.frame[side]
        middle = (first + last) / 2 * step + size / 2
        half = max((last - first + 1) * step, size) / 2
        reaches_end = last >= (end - size) // step
        return max(middle - half, 0) if first else 0, end if reaches_end else min(
            middle + half, end
        )


def _regions(
    own: np.ndarray, decisive: np.ndarray, layout: _Layout
) -> Iterator[tuple[float, float, float, float, float]]:
    """Yield the regions of a frame; their places in the decisive errors become 0."""
    for _ in range(MOST_REGIONS):
        peak = _argmax(decisive)
        score = float(decisive[peak])
        if score <= 0:
            return
        lasting = _extent(decisive, peak, layout)
        first, last = _extent(own, _argmax_within(own, layout.around(peak, peak, OVERLAP)), layout)
        for extent in (lasting, (first, last)):
            decisive[layout.around(*extent, SKIRT)] = 0
        (top, bottom), (left, right) = (
            layout.sides(side, first[side], last[side]) for side in (0, 1)
        )
        yield left, top, right, bottom, score


def _extent(errors: np.ndarray, place: Place, layout: _Layout) -> tuple[Place, Place]:
    """Return the first and the last row and column of the connected places around a peak."""
    near = layout.around(place, place, LARGEST)
    labels, _count = connected(errors[near] >= EDGE * errors[place], NEIGHBOURS)
    corner = near[0].start, near[1].start
    whole = labels == labels[place[0] - corner[0], place[1] - corner[1]]
    ends = [np.flatnonzero(whole.any(axis=1 - side))[[0, -1]] + corner[side] for side in (0, 1)]
    return (int(ends[0][0]), int(ends[1][0])), (int(ends[0][1]), int(ends[1][1]))


def _argmax_within(errors: np.ndarray, near: tuple[slice, ...]) -> Place:
    row, column = _argmax(errors[near])
    return near[0].start + row, near[1].start + column


def _argmax(errors: np.ndarray) -> Place:
    row, column = divmod(int(errors.argmax()), errors.shape[1])
    return row, column
