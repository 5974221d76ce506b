"""The memory's items: their history over a training, and their use in a test."""

from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memguard.report.item_usage import ItemUse, project_to_plane
from memguard.report.pictures import heat, photograph
from memguard.report.plots.style import BLUE, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.tested import FinishedTest


@dataclass(frozen=True)
class MemoryHistory:
    """The items of a memory over E epochs.

    Attributes:
        first_epoch: The number of the first of them, from 1.
        share: (E, M), each item's share of the queries.
        drift: (E, M), 1 − cosine of each item with itself an epoch before.
        cosine: (M, M), between the items at the end.
    """

    first_epoch: int
    share: np.ndarray
    drift: np.ndarray
    cosine: np.ndarray


def memory_history(history: MemoryHistory) -> Figure:
    """Draw the use of a memory's items, their drift, and their similarity."""
    size = history.share.shape[1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 5.6))
        (use, now), (drift, alike) = figure.subplots(2, 2)
        _draw_over_epochs(figure, use, history.share, history.first_epoch, "share of queries")
        _draw_over_epochs(figure, drift, history.drift, history.first_epoch, "drift, 1 − cosine")
        _draw_use(now, history.share[-1])
        map_ = alike.imshow(
            history.cosine, cmap="cividis", vmin=min(0, history.cosine.min()), vmax=1
        )
        figure.colorbar(map_, ax=alike, label="cosine between items")
        alike.set(xlabel="item", ylabel="item")
        if size <= 12:
            _write_values(alike, history.cosine)
            for axis in (alike.xaxis, alike.yaxis, now.xaxis, use.yaxis, drift.yaxis):
                axis.set_ticks(range(size))
    return figure


def _draw_over_epochs(
    figure: Figure, axes: Axes, values: np.ndarray, first_epoch: int, label: str
) -> None:
    """Draw a row per item and a column per epoch, from (E, M)."""
    epochs, size = values.shape
    extent = (first_epoch - 0.5, first_epoch + epochs - 0.5, size - 0.5, -0.5)
    map_ = axes.imshow(
        values.T, cmap="cividis", vmin=0, aspect="auto", extent=extent, interpolation="nearest"
    )
    figure.colorbar(map_, ax=axes, label=label)
    axes.set(xlabel="epoch", ylabel="item")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_use(axes: Axes, share: np.ndarray) -> None:
    """Draw the last epoch's shares as bars, with a cross at each dead item."""
    axes.bar(range(len(share)), share, color=BLUE)
    dead = np.flatnonzero(share == 0)
    for item in dead:  # one by one: a line without any point upsets the layout
        axes.plot(item, 0, "x", color=VERMILION, clip_on=False)
    axes.axhline(1 / len(share), color="0.4", linewidth=0.6, linestyle="--")
    axes.set(xlabel="item", ylabel="share of queries, last epoch")
    axes.set_title(f"{len(dead)} of {len(share)} dead; dashed: equal use", loc="left")


def _write_values(axes: Axes, matrix: np.ndarray) -> None:
    """Write each value into its cell, light on dark and dark on light."""
    middle = (min(0, matrix.min()) + 1) / 2
    for (row, column), value in np.ndenumerate(matrix):
        colour = "white" if value < middle else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=5, color=colour)


def item_galleries(use: ItemUse, test: FinishedTest) -> list[dict[str, Any]]:
    """Describe each item as the page shows it, the most used first.

    Returns:
        For each item its number, its share of the queries, the map of the places where it is the
        nearest one, and the patches nearest to it.
    """
    share, counts = use.share, use.counts.numpy() / use.frames
    # A patch is cut from the last frame that the encoder sees.
    before = 1 if test.recorder.predicts else 0
    return [
        {
            "number": int(item),
            "share": float(share[item]),
            "map": heat(counts[item], 1.0),
            "patches": [
                {
                    "picture": photograph(patch.picture),
                    "where": f"video {test.names[patch.video]}, frame {patch.frame - before}",
                    "similarity": patch.similarity,
                    "own": patch.own,
                }
                for patch in use.gallery(int(item))
            ],
        }
        for item in np.argsort(-share, kind="stable")
    ]


def item_plane(use: ItemUse, items: np.ndarray) -> dict[str, Any]:
    """Project a sample of queries and the items to a plane, a square of 100.

    Args:
        use: The use of the items, with its sample of queries.
        items: (M, C), the items at the end of the test.

    Returns:
        ``queries``: across, down and the nearest item of each; ``items``: across and down.
    """
    queries, nearest = use.sample()
    places = project_to_plane(np.concatenate([queries, items]))
    x, y = (100 * places.T).round(1).tolist()
    count = len(queries)
    return {
        "queries": list(zip(x, y, nearest.tolist(), strict=False)),
        "items": list(zip(x[count:], y[count:], strict=True)),
    }
