"""Drawing with soft strokes, the only primitive of the street.

Points are complex numbers ``x + 1j * y`` in pixels, y downwards: to turn or scale a drawing is to
multiply.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Colour = tuple[float, float, float]
Canvas = NDArray[np.float32]
Owners = NDArray[np.uint8]

PICTURE_HEIGHT, PICTURE_WIDTH = 160, 240

SOLID = 0.5  # a stroke owns the pixels that it covers by more


@dataclass(frozen=True)
class Stroke:
    """A thick line with a soft edge: a limb, a body, a head (`start == end`) or a wheel.

    Attributes:
        start: The start of the line.
        end: The end of the line.
        radius: Half of the line's thickness in pixels.
        colour: RGB, 0 to 255.
        ring: If positive, the line runs around the segment at this distance: a ring.
        softness: Width of the faded edge in pixels.
        opacity: Coverage inside the line, 0 to 1.
    """

    start: complex
    end: complex
    radius: float
    colour: Colour
    ring: float = 0.0
    softness: float = 1.0
    opacity: float = 1.0

    @property
    def reach(self) -> float:
        """The largest distance of a pixel that the stroke covers, in pixels."""
        return self.ring + self.radius + self.softness

    def placed(self, at: complex, scale: float, facing: int) -> "Stroke":
        """Return the stroke at `at`, scaled, and mirrored left-right if `facing` is -1."""

        def move(point: complex) -> complex:
            return at + scale * complex(facing * point.real, point.imag)

        return Stroke(
            move(self.start),
            move(self.end),
            scale * self.radius,
            self.colour,
            scale * self.ring,
            self.softness,
            self.opacity,
        )

    def turned(self, angle: float) -> "Stroke":
        """Return the stroke, turned clockwise about the origin by `angle` radians."""
        turn = complex(np.cos(angle), np.sin(angle))
        return replace(self, start=turn * self.start, end=turn * self.end)


def disc(centre: complex, radius: float, colour: Colour) -> Stroke:
    """Return a filled circle."""
    return Stroke(centre, centre, radius, colour)


def shadow(start: complex, end: complex, radius: float) -> Stroke:
    """Return a soft dark stroke, too faint to own pixels."""
    return Stroke(start, end, radius, (25.0, 28.0, 38.0), softness=2.5, opacity=0.32)


def draw(canvas: Canvas, strokes: Sequence[Stroke], owners: Owners, owner: int = 0) -> None:
    """Draw strokes onto a picture, in order, and mark the owner of its pixels.

    Args:
        canvas: Picture (height, width, 3), RGB from 0 to 255; changed in place.
        strokes: The strokes.
        owners: (height, width); every solidly covered pixel becomes `owner`, in place.
        owner: The owner of the strokes.

    Example:
        >>> canvas = np.zeros((8, 8, 3), np.float32)
        >>> owners = np.zeros((8, 8), np.uint8)
        >>> draw(canvas, [disc(4 + 4j, 2, (255, 0, 0))], owners, owner=1)
        >>> int(owners.sum()), canvas[4, 4].tolist()
        (9, [255.0, 0.0, 0.0])
    """
    height, width = owners.shape
    ends = np.array([(s.start, s.end) for s in strokes], np.complex64)
    reach = np.array([s.reach for s in strokes], np.float32)[:, None]
    left, top = (int(np.floor((part - reach).min())) for part in (ends.real, ends.imag))
    right, bottom = (int(np.ceil((part + reach).max())) + 1 for part in (ends.real, ends.imag))
    rows = slice(max(top, 0), min(bottom, height))
    columns = slice(max(left, 0), min(right, width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    coverage = _coverage(strokes, ends, rows, columns)
    owners[rows, columns][coverage.max(axis=0) > SOLID] = owner
    # A stroke is visible where it covers a pixel and later strokes do not.
    through = np.cumprod(1.0 - coverage[::-1], axis=0)[::-1]
    coverage[:-1] *= through[1:]
    colours = np.array([s.colour for s in strokes], np.float32)
    view = canvas[rows, columns]
    view *= through[0][..., None]
    view += np.tensordot(coverage, colours, axes=(0, 0))


def _coverage(
    strokes: Sequence[Stroke], ends: NDArray[np.complex64], rows: slice, columns: slice
) -> NDArray[np.float32]:
    """Return the coverage of each pixel of a window by each stroke, (strokes, rows, columns)."""
    x = np.arange(columns.start, columns.stop, dtype=np.float32)
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]

    def each(values: Sequence[float] | NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(values, np.float32)[:, None, None]

    dx, dy = x - each(ends[:, 0].real), y - each(ends[:, 0].imag)
    line = ends[:, 1] - ends[:, 0]
    line_x, line_y = each(line.real), each(line.imag)
    squared = np.maximum(line_x**2 + line_y**2, 1e-6)
    along = np.clip((dx * line_x + dy * line_y) / squared, 0.0, 1.0)
    distance = np.sqrt((dx - along * line_x) ** 2 + (dy - along * line_y) ** 2)
    distance = np.abs(distance - each([s.ring for s in strokes]))
    inside = (each([s.radius for s in strokes]) - distance) / each([s.softness for s in strokes])
    coverage: NDArray[np.float32] = np.clip(inside + 0.5, 0.0, 1.0)
    coverage *= each([s.opacity for s in strokes])
    return coverage
