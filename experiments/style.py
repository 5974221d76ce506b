"""Style the figures of the studies alike: colours, sizes, labels of rows, shades."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
SHADE = "#F4D5BF"  # anomalous frames
WIDTH = 7.2  # inches
STYLE: dict[Any, Any] = {
    "font.size": 8, "axes.titlesize": 8, "figure.titlesize": 9, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6,
    "xtick.major.width": 0.6, "ytick.major.width": 0.6, "figure.constrained_layout.use": True,
    "savefig.dpi": 160,
}  # fmt: skip
PERCENT = "frame AUROC, %"
SEEDS = {0: BLUE, 1: VERMILION, 2: GREEN}


def label_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Name the rows of a chart from the top down."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="y", lw=0.3)


def shade(axes: Axes, frame: np.ndarray, label: np.ndarray) -> None:
    """Shade the anomalous frames."""
    axes.fill_between(frame, 0, 1, where=label == 1, step="mid", color=SHADE, lw=0)
