"""Frames to look at: beside their prediction and its error, or side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from memguard.report.pictures import error_map
from memguard.report.plots.style import (
    PAGE_WIDTH,
    STYLE,
    VERMILION,
    draw_box,
    draw_picture,
    hide_axes,
)


@dataclass(frozen=True)
class ComparedFrame:
    """A frame and its prediction or reconstruction.

    Attributes:
        title: The text beside it.
        target: uint8 (C, H, W), the frame itself.
        output: uint8 (C, H, W), its prediction or reconstruction.
        box: Left, top, right and bottom of the patch with the largest error, in pixels; right and
            bottom are past the end. None draws no box.
    """

    title: str
    target: np.ndarray
    output: np.ndarray
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class SheetFrame:
    """A frame of a contact sheet.

    Attributes:
        title: The text above it.
        picture: uint8 (C, H, W).
        marked: Whether it has a coloured border.
    """

    title: str
    picture: np.ndarray
    marked: bool


def frame_comparison(frames: Sequence[ComparedFrame], *, predicted: bool) -> Figure:
    """Draw a row per frame: the target, its prediction or reconstruction, and the error.

    The error maps share one scale, so rows compare.

    Args:
        frames: The frames, at least one.
        predicted: Whether frames are predicted from those before them, and not reconstructed.
    """
    errors = [error_map(frame.target, frame.output) for frame in frames]
    largest = max(max(float(error.max()) for error in errors), 1e-6)
    with mpl.rc_context(STYLE):
        row_height = 2.05 * _aspect(frames[0].target)
        figure = Figure(figsize=(PAGE_WIDTH, row_height * len(frames) + 0.5))
        grid = figure.subplots(len(frames), 3, squeeze=False)
        for row, frame, error in zip(grid, frames, errors, strict=True):
            draw_picture(row[0], frame.target)
            draw_picture(row[1], frame.output)
            map_ = row[2].imshow(error, cmap="inferno", vmin=0, vmax=largest)
            hide_axes(row[2])
            row[0].set_ylabel(frame.title)
            if frame.box:
                for axes in row:
                    draw_box(axes, frame.box)
        for axes, title in zip(grid[0], _column_titles(predicted), strict=True):
            axes.set_title(title)
        bar = figure.colorbar(map_, ax=grid[:, 2], shrink=0.8, aspect=30, pad=0.03)
        bar.set_label("absolute error (1: black against white)")
        if any(frame.box for frame in frames):
            handle = Patch(facecolor="none", edgecolor=VERMILION, label="patch with largest error")
            figure.legend(handles=[handle], loc="outside lower center", frameon=False)
    return figure


def _aspect(picture: np.ndarray) -> float:
    """Divide the height of a picture, (C, H, W), by its width; a row needs room for its title."""
    return max(picture.shape[1] / picture.shape[2], 0.5)


def _column_titles(predicted: bool) -> tuple[str, str, str]:
    if predicted:
        return "target: frame t", "prediction of frame t", "absolute error"
    return "input and target: frame t", "reconstruction of frame t", "absolute error"


def contact_sheet(frames: Sequence[SheetFrame], mark: str) -> Figure:
    """Draw frames side by side, marked ones with a coloured border.

    Args:
        frames: The frames, at least one.
        mark: The legend of the border.
    """
    columns = min(6, len(frames))
    rows = -(-len(frames) // columns)
    with mpl.rc_context(STYLE):
        row_height = 1.25 * _aspect(frames[0].picture) + 0.3
        figure = Figure(figsize=(PAGE_WIDTH, row_height * rows + 0.3))
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            hide_axes(axes)
        for axes, frame in zip(grid.flat, frames, strict=False):
            draw_picture(axes, frame.picture)
            axes.set_title(frame.title, fontsize=6, pad=3)
            if frame.marked:
                axes.spines[:].set(visible=True, color=VERMILION, linewidth=2.5)
        if any(frame.marked for frame in frames):
            handle = Patch(facecolor="none", edgecolor=VERMILION, linewidth=2, label=mark)
            figure.legend(handles=[handle], loc="outside lower center", frameon=False)
    return figure
