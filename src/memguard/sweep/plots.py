"""Figures of a sweep: metrics against the varied settings.

Runs of one setting that differ in the seed alone are its spread.
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from memguard.report.plots.style import BLUE, PAGE_WIDTH, STYLE, VERMILION

Runs = Sequence[Mapping[str, float]]


def metric_curves(axis: str, results: Mapping[float, Runs], names: Sequence[str]) -> Figure:
    """Draw each metric against one number: a line of means, a point per run.

    Args:
        axis: The key of the number, such as ``memory.size``.
        results: The runs at each of its values.
        names: The metrics, a panel each.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH / 2 * max(len(names), 1.4), 2.8))
        panels = figure.subplots(1, len(names), squeeze=False)[0]
        for axes, name in zip(panels, names, strict=True):
            _draw_curve(axes, {x: _values(results[x], name) for x in sorted(results)})
            axes.set(xlabel=axis, ylabel=name)
        figure.legend(handles=_legend(results), loc="outside upper center", ncols=3, frameon=False)
    return figure


def _draw_curve(axes: Axes, values: Mapping[float, np.ndarray]) -> None:
    known = {x: y for x, y in values.items() if len(y)}
    places = list(known)
    lowest, highest, mean = (
        [function(y) for y in known.values()] for function in (np.min, np.max, np.mean)
    )
    axes.fill_between(places, lowest, highest, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(places, mean, color=BLUE, linewidth=1.4)
    for x, y in known.items():
        axes.plot([x] * len(y), y, "o", color=VERMILION, markersize=3, clip_on=False)
    if min(places) > 0 and max(places) >= 10 * min(places):
        axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(places, [f"{x:g}" for x in places])
    axes.grid(axis="y", linewidth=0.4, alpha=0.5)


def heat_maps(
    axes: tuple[str, str], results: Mapping[tuple[float, float], Runs], names: Sequence[str]
) -> Figure:
    """Draw each metric over two numbers, the mean of its runs in each cell.

    Args:
        axes: The keys of the two numbers, down and across.
        results: The runs at each pair of their values; a pair without runs is an empty cell.
        names: The metrics, a panel each.
    """
    down, across = (sorted({pair[i] for pair in results}) for i in (0, 1))
    with mpl.rc_context(STYLE):
        width = max(0.55 * len(across) + 1.3, 2.6)
        figure = Figure(figsize=(width * len(names), 0.45 * len(down) + 1.1))
        panels = figure.subplots(1, len(names), squeeze=False)[0]
        for panel, name in zip(panels, names, strict=True):
            cells = [[_mean(results.get((y, x), ()), name) for x in across] for y in down]
            _draw_cells(panel, np.array(cells))
            panel.set_xticks(range(len(across)), [f"{x:g}" for x in across])
            panel.set_yticks(range(len(down)), [f"{y:g}" for y in down])
            panel.set(xlabel=axes[1], ylabel=axes[0])
            panel.set_title(name)
    return figure


def _draw_cells(axes: Axes, cells: np.ndarray) -> None:
    image = axes.imshow(np.ma.masked_invalid(cells), cmap="cividis", aspect="auto", origin="lower")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    middle = (np.nanmin(cells) + np.nanmax(cells)) / 2
    for (row, column), value in np.ndenumerate(cells):
        text = "–" if np.isnan(value) else f"{value:.3f}"
        colour = "white" if value < middle else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour)
    axes.figure.colorbar(image, ax=axes, pad=0.02)


def metric_ranking(results: Mapping[str, Runs], names: Sequence[str]) -> Figure:
    """Draw a row per setting, in the given order: its runs as points, their mean as a bar.

    Args:
        results: The runs of each setting, by its label.
        names: The metrics, a panel each.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 0.2 * len(results) + 1))
        panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
        for axes, name in zip(panels, names, strict=True):
            for place, runs in enumerate(results.values()):
                values = _values(runs, name)
                axes.plot(values, [place] * len(values), "o", color=VERMILION, markersize=3)
                axes.plot(_mean(runs, name), place, "|", color=BLUE, markersize=9, mew=1.6)
            axes.set_xlabel(name)
            axes.grid(axis="y", linewidth=0.4, alpha=0.5)
        panels[0].set_yticks(range(len(results)), list(results))
        panels[0].set_ylim(len(results) - 0.5, -0.5)
        run, mean = _legend(results)[:2]
        mean.set(marker="|", linestyle="", markersize=9, markeredgewidth=1.6)
        figure.legend(handles=[run, mean], loc="outside upper center", ncols=2, frameon=False)
    return figure


def _legend(results: Mapping[float, Runs] | Mapping[str, Runs]) -> list[Line2D]:
    several = any(len(runs) > 1 for runs in results.values())
    run = Line2D([], [], color=VERMILION, marker="o", linestyle="", markersize=3, label="a run")
    mean = Line2D([], [], color=BLUE, linewidth=1.4, label="mean")
    spread = Line2D([], [], color=BLUE, alpha=0.15, linewidth=6, label="lowest to highest")
    return [run, mean, spread] if several else [run, mean]


def _values(runs: Runs, name: str) -> np.ndarray:
    return np.array([run[name] for run in runs if name in run])


def _mean(runs: Runs, name: str) -> float:
    values = _values(runs, name)
    return float(values.mean()) if len(values) else float("nan")
