"""The figure of every epoch: how much a choice by the test's labels would add."""

from typing import Any, cast

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from memguard.report.epochs import BEST, LAST, UPPER_BOUND
from memguard.report.plots.style import BLUE, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.table import Table


def metric_over_epochs(table: Table) -> Figure:
    """Draw the deciding metric of each epoch, and mark the last checkpoint and the best epoch.

    Args:
        table: From :func:`~memguard.report.epochs.epochs_table`.
    """
    metric = table.columns[2]
    *epochs, last, best, _difference = cast(list[dict[str, Any]], list(table))
    numbers, values = ([row[column] for row in epochs] for column in ("epoch", metric))
    end = numbers[-1]
    place, name = (best["epoch"], f"epoch {best['epoch']}") if best["epoch"] else (end, LAST)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.8))
        axes = figure.subplots()
        axes.plot(numbers, values, color=BLUE, linewidth=1.2, marker=".", label="each epoch")
        axes.axhline(last[metric], color="0.6", linewidth=0.6, linestyle="--", zorder=0)
        axes.plot(
            end, last[metric], "s", color=BLUE, markersize=6, label=f"{LAST}: {last[metric]:.4f}"
        )
        axes.plot(
            place, best[metric], "o", color=VERMILION, markersize=9, markerfacecolor="none",
            label=f"{BEST}, {name}: {best[metric]:.4f} ({UPPER_BOUND})",
        )  # fmt: skip
        axes.set(xlabel="epoch", ylabel=metric)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        axes.margins(y=0.12)
        figure.legend(loc="outside upper center", ncols=3, columnspacing=1.2, frameon=False)
    return figure
