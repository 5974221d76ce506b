"""AUROC over λ: ``python experiments/ablation_ped2/weight.py FIGURE RUN…``.

Of each RUN, a folder with ``scores.csv``, it prints a row and draws a line in FIGURE, from the
distance alone (0) to the PSNR alone (1).
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

from memguard.metrics import frame_auroc
from memguard.report.figures import PAGE_WIDTH, STYLE
from memguard.report.results import read_scores
from memguard.scoring import anomaly_score

WEIGHTS = np.linspace(0, 1, 21)


def auroc(frames: dict[str, Tensor], distance: Tensor, weight: float) -> float:
    """Return the frame AUROC in % of the frames' PSNR joined with a distance by λ."""
    score = anomaly_score(frames["psnr"], distance, frames["video"], weight)
    return 100 * frame_auroc(score, frames["label"])


def curve(run: Path) -> np.ndarray:
    """Return the AUROC in % for each of :data:`WEIGHTS`."""
    frames, _ = read_scores(run / "scores.csv")
    return np.array([auroc(frames, frames["distance"], float(weight)) for weight in WEIGHTS])


def print_table(curves: dict[str, np.ndarray]) -> None:
    """Print every fourth λ and the best by the test's labels, a row per run, and their mean."""
    table = Table(title="Frame AUROC in % over λ")
    for column in ("run", *(f"{weight:.1f}" for weight in WEIGHTS[::4]), "the best"):
        table.add_column(column)
    found = {name: [*values[::4], values.max()] for name, values in curves.items()}
    for name, row in found.items():
        table.add_row(name, *(f"{value:.1f}" for value in row))
    if len(found) > 1:
        columns = np.array(list(found.values())).T
        mean = (f"{column.mean():.1f} ± {column.std(ddof=1):.1f}" for column in columns)
        table.add_row("mean", *mean)
    Console(width=140).print(table)


def draw(curves: dict[str, np.ndarray]) -> Figure:
    """Draw AUROC over λ, a line per run."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH / 2, 2.4))
        axes = figure.subplots()
        for name, values in curves.items():
            axes.plot(WEIGHTS, values, lw=1, label=name.replace("_", " "))
        axes.set(xlabel="λ, share of the PSNR term", ylabel="frame AUROC, %")
        axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    figure, *runs = map(Path, sys.argv[1:])
    curves = {run.name: curve(run) for run in runs}
    print_table(curves)
    draw(curves).savefig(figure)
