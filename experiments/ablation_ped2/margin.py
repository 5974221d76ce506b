"""How well frames are painted, normal and not: ``python …/ablation_ped2/margin.py FIGURE RUN…``.

Of each RUN, a training's folder with ``scores.csv`` and ``curves/metrics.csv``, it prints the mean
PSNR of held-out normal frames, and of the test's normal and anomalous ones with the margin between
them, and draws a row in FIGURE. The margin is what the PSNR term lives on.
"""

import csv
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from memguard.report.figures import BLUE, GREY, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.results import read_scores

COLOURS = {"held out": GREY, "normal": BLUE, "anomalous": VERMILION}


def painted(run: Path) -> dict[str, float]:
    """Return the mean PSNR in dB of each kind of frame."""
    frames, _ = read_scores(run / "scores.csv")
    with (run / "curves" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        held_out = [row["val/psnr"] for row in csv.DictReader(file) if row["val/psnr"]]
    return {
        "held out": float(held_out[-1]),
        "normal": float(frames["psnr"][frames["label"] == 0].mean()),
        "anomalous": float(frames["psnr"][frames["label"] == 1].mean()),
    }


def print_table(runs: dict[str, dict[str, float]]) -> None:
    """Print a row per run."""
    table = Table(title="Mean PSNR in dB")
    for column in ("run", *COLOURS, "margin"):
        table.add_column(column)
    for name, psnr in runs.items():
        margin = psnr["normal"] - psnr["anomalous"]
        table.add_row(name, *(f"{value:.2f}" for value in (*psnr.values(), margin)))
    Console(width=140).print(table)


def draw(runs: dict[str, dict[str, float]]) -> Figure:
    """Draw a row per run: its margin as a bar between two points, and held-out frames."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 0.2 * len(runs) + 0.9))
        axes = figure.subplots()
        for place, psnr in enumerate(runs.values()):
            ends = psnr["anomalous"], psnr["normal"]
            axes.plot(ends, [place] * 2, lw=2, color="#cccccc", zorder=1)
            margin = f"{ends[1] - ends[0]:.2f} dB"
            axes.text(sum(ends) / 2, place - 0.1, margin, ha="center", fontsize=6)
        for kind, colour in COLOURS.items():
            values = [psnr[kind] for psnr in runs.values()]
            mark = "|" if kind == "held out" else "o"
            axes.plot(values, range(len(runs)), mark, ms=5, color=colour, label=kind)
        axes.set_yticks(range(len(runs)), [name.replace("_", " ") for name in runs])
        axes.invert_yaxis()
        axes.set_xlabel("mean PSNR, dB")
        figure.legend(loc="outside upper right", ncols=3, frameon=False)
    return figure


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    figure, *folders = map(Path, sys.argv[1:])
    runs = {folder.name: painted(folder) for folder in folders}
    print_table(runs)
    draw(runs).savefig(figure)
