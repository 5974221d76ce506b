"""The table of the epochs of a training: how much a choice by the test's labels would add."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table as ShownTable

from memguard.report.table import Cell, Table

LAST = "last"
BEST = "best by labels"
UPPER_BOUND = "upper bound, chosen by the test's labels"
DIFFERENCE = "difference"

# On the screen, beside the metric that the epochs are compared by.
SHOWN = ("test/auroc", "test/auroc_macro", "test/auroc_unnormalised", "test/auroc_patch")

Metrics = Mapping[str, float]


def epochs_table(epochs: Mapping[int, Metrics], last: Metrics, metric: str) -> Table:
    """Tabulate each epoch, the last checkpoint, the best of all of these, and the difference.

    Args:
        epochs: The metrics of a test of each epoch, by its number from 1.
        last: The metrics of the last checkpoint's test.
        metric: Decides which is best; more is better.

    Returns:
        A column for each metric that all of these tests have, the deciding one first.

    Example:
        >>> epochs = {1: {"test/auroc": 0.5}, 2: {"test/auroc": 0.875}}
        >>> epochs_table(epochs, {"test/auroc": 0.75}, "test/auroc")["test/auroc"]
        [0.5, 0.875, 0.75, 0.875, 0.125]
    """
    counts = "test/frames"
    common = set(last).intersection(*epochs.values()) - {metric}
    names = [metric, *sorted(name for name in common if not name.startswith(counts))]
    tests: list[tuple[int | None, Metrics]] = [*epochs.items(), (None, last)]
    epoch, best = max(tests, key=lambda test: test[1][metric])  # the first, where several are best
    rows: list[list[Cell]] = [["", number, *_cells(of, names)] for number, of in epochs.items()]
    rows.append([LAST, None, *_cells(last, names)])
    rows.append([f"{BEST} ({UPPER_BOUND})", epoch, *_cells(best, names)])
    added = [best[name] - last[name] for name in names]
    return Table(["checkpoint", "epoch", *names], [*rows, [DIFFERENCE, None, *added]])


def _cells(metrics: Metrics, names: list[str]) -> list[Cell]:
    return [metrics[name] for name in names]


def print_epochs(title: str, table: Table) -> None:
    """Print the table with the deciding metric and a few others.

    Args:
        title: Above the table.
        table: From :func:`epochs_table`.
    """
    decides = table.columns[2]
    names = [name for name in dict.fromkeys((decides, *SHOWN)) if name in table.columns]
    caption = f"{BEST}: {UPPER_BOUND}"
    shown = ShownTable(title=title, title_justify="left", caption=caption, caption_justify="left")
    shown.add_column("checkpoint")
    for name in ("epoch", *names):
        shown.add_column(name, justify="right")
    for row in table:
        epoch = "" if row["epoch"] is None else str(row["epoch"])
        checkpoint = str(row["checkpoint"]).removesuffix(f" ({UPPER_BOUND})")
        shown.add_row(checkpoint, epoch, *(f"{row[name]:.4f}" for name in names))
    Console(markup=False).print(shown)
