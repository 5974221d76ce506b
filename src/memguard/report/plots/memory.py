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

# A page with more would be large, and nobody looks at all of them.
MOST_GALLERIES = 50


@dataclass(frozen=True)
class MemoryHistory:
    """The items of a memory of M rows over E epochs.

    Attributes:
        first_epoch: The number of the first of them, from 1.
        there: bool (E, M), the rows that are items.
        share: (E, M), each item's share of the queries.
        drift: (E, M), 1 − cosine of each item with itself an epoch before; NaN for a new one.
        cosine: (M, M), between the items at the end.
    """

    first_epoch: int
    there: np.ndarray
    share: np.ndarray
    drift: np.ndarray
    cosine: np.ndarray


def memory_history(history: MemoryHistory) -> Figure:
    """Draw the use of a memory's items, their drift, their similarity, and a changing number."""
    numbers = history.there.sum(axis=1)
    items = np.flatnonzero(history.there[-1])  # at the end
    rows = int(np.flatnonzero(history.there.any(axis=0))[-1]) + 1
    changes = len(np.unique(numbers)) > 1
    first, cosine = history.first_epoch, history.cosine[np.ix_(items, items)]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 7.4 if changes else 5.6))
        panels = figure.subplot_mosaic("un;da;cc" if changes else "un;da")
        use, now, drift, alike = (panels[name] for name in "unda")
        for axes, values, label in (
            (use, history.share, "share of queries"),
            (drift, history.drift, "drift, 1 − cosine"),
        ):
            shown = np.where(history.there, values, np.nan)[:, :rows]
            _draw_over_epochs(figure, axes, shown, first, label)
        _draw_use(now, items, history.share[-1, items])
        map_ = alike.imshow(cosine, cmap="cividis", vmin=min(0, cosine.min()), vmax=1)
        figure.colorbar(map_, ax=alike, label="cosine between items")
        alike.set(xlabel="item", ylabel="item")
        if len(items) <= 12:
            _write_values(alike, cosine)
            for axis in (alike.xaxis, alike.yaxis):
                axis.set_ticks(range(len(items)), map(str, items))
        if rows <= 12:
            for axis in (now.xaxis, use.yaxis, drift.yaxis):
                axis.set_ticks(range(rows))
        if changes:
            _draw_number(panels["c"], numbers, first)
    return figure


def _draw_number(axes: Axes, numbers: np.ndarray, first_epoch: int) -> None:
    """Draw the number of items at the end of each epoch."""
    axes.plot(np.arange(len(numbers)) + first_epoch, numbers, "o-", color=BLUE, markersize=3)
    axes.set(xlabel="epoch", ylabel="number of items", ylim=(0, None))
    axes.set_title(f"{numbers[-1]} items at the end", loc="left")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))


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


def _draw_use(axes: Axes, items: np.ndarray, share: np.ndarray) -> None:
    """Draw the last epoch's shares as bars, with a cross at each dead item."""
    axes.bar(items, share, color=BLUE)
    dead = items[share == 0]
    if len(dead):  # a line without any point upsets the layout
        axes.plot(dead, np.zeros(len(dead)), "x", color=VERMILION, clip_on=False)
    axes.axhline(1 / len(share), color="0.4", linewidth=0.6, linestyle="--")
    axes.set(xlabel="item", ylabel="share of queries, last epoch")
    axes.set_title(f"{len(dead)} of {len(share)} dead; dashed: equal use", loc="left")


def _write_values(axes: Axes, matrix: np.ndarray) -> None:
    """Write each value into its cell, light on dark and dark on light."""
    middle = (min(0, matrix.min()) + 1) / 2
    for (row, column), value in np.ndenumerate(matrix):
        colour = "white" if value < middle else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=5, color=colour)


def item_galleries(use: ItemUse, items: np.ndarray, test: FinishedTest) -> list[dict[str, Any]]:
    """Describe items as the page shows them, the most used first, :data:`MOST_GALLERIES` at most.

    Args:
        use: The use of the items.
        items: The numbers of the rows that are items.
        test: The test.

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
        for item in items[np.argsort(-share[items], kind="stable")][:MOST_GALLERIES]
    ]


def item_plane(use: ItemUse, numbers: np.ndarray, items: np.ndarray) -> dict[str, Any]:
    """Project a sample of queries and items to a plane, a square of 100.

    Args:
        use: The use of the items, with its sample of queries.
        numbers: Of the items to show.
        items: (M, C), all rows of the memory at the end of the test.

    Returns:
        ``queries``: across, down and the nearest item of each; ``items``: across, down and number.
    """
    queries, nearest = use.sample()
    places = project_to_plane(np.concatenate([queries, items[numbers]]))
    x, y = (100 * places.T).round(1).tolist()
    count = len(queries)
    return {
        "queries": list(zip(x, y, nearest.tolist(), strict=False)),
        "items": list(zip(x[count:], y[count:], numbers.tolist(), strict=True)),
    }
