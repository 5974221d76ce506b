"""The common style of figures: colours, sizes, boxes and lines.

Colours are those of Okabe and Ito, which readers with any colour vision distinguish. Important
elements also differ in lightness or form, so a print in grey shows them.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.rcsetup import cycler

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
PURPLE, ORANGE = "#CC79A7", "#E69F00"
PAGE_WIDTH = 7.2  # inches, the text width of a two-column paper
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": cycler(color=[BLUE, VERMILION, GREEN, GREY]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "figure.constrained_layout.use": True,
    "figure.dpi": 200,  # of the figure itself: files are saved outside this style
}


def stretches(mask: np.ndarray) -> list[tuple[int, int]]:
    """Find start and stop (one past the end) of each run of true values.

    Example:
        >>> stretches(np.array([True, True, False, True]))
        [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def draw_picture(axes: Axes, picture: np.ndarray) -> None:
    """Draw a picture, uint8 (C, H, W) with one channel or three, without ticks or spines."""
    plane = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    axes.imshow(plane, cmap="gray", vmin=0, vmax=255)
    hide_axes(axes)


def hide_axes(axes: Axes) -> None:
    """Remove ticks and spines."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def draw_box(axes: Axes, box: tuple[int, int, int, int]) -> None:
    """Draw a box around pixels that is visible on light ground and dark.

    Args:
        axes: The axes of the picture.
        box: Left, top, right and bottom in pixels; right and bottom are past the end.
    """
    left, top, right, bottom = box
    place = (left - 0.5, top - 0.5), right - left, bottom - top  # a pixel's centre is its number
    axes.add_patch(Rectangle(*place, fill=False, edgecolor="white", linewidth=2.4))
    axes.add_patch(Rectangle(*place, fill=False, edgecolor=VERMILION, linewidth=1.2))
