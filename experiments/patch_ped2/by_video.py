"""The worst patch, video by video: ``python experiments/patch_ped2/by_video.py NAME=RUN …``.

Each RUN is the folder of a test with ``scoring=patch``. Printed are its AUROC, and that without
each of its videos; ``figures/by_video.png`` beside this file shows the score of every frame.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

from memguard.metrics import frame_auroc
from memguard.report.figures import BLUE, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.results import read_scores

HERE = Path(__file__).parent
KINDS = {0: ("normal", BLUE, -0.18), 1: ("anomalous", VERMILION, 0.18)}
SPREAD = 0.12  # of a video's frames, in order, to either side

Scores = tuple[dict[str, Tensor], list[str]]
"""Columns of a test's ``scores.csv``, and the names of its videos."""


def without(scores: Scores) -> dict[str, float]:
    """AUROC in % of all videos, and without each of them."""
    frames, names = scores
    score, label = frames["score"], frames["label"]
    found = {"all": 100 * frame_auroc(score, label)}
    for number, name in enumerate(names):
        others = frames["video"] != number
        found[f"without {name}"] = 100 * frame_auroc(score[others], label[others])
    return found


def print_table(counted: dict[str, dict[str, float]]) -> None:
    """Print a row per video that is left out, a column per run."""
    table = Table(title="Frame AUROC of the worst patch, %")
    for column in ("videos", *counted):
        table.add_column(column)
    for row in next(iter(counted.values())):
        table.add_row(row, *(f"{found[row]:.1f}" for found in counted.values()))
    Console().print(table)


def draw(runs: dict[str, Scores]) -> Figure:
    """Draw every frame's score, a panel per run."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.8))
        panels = figure.subplots(1, len(runs), squeeze=False)[0]
        for axes, (name, scores) in zip(panels, runs.items(), strict=True):
            _draw_frames(axes, *scores)
            axes.set_title(name.replace("_", " "), loc="left")
            axes.set_xlabel("test video")
        panels[0].set_ylabel("squared error of the worst patch")
        handles, labels = panels[0].get_legend_handles_labels()
        kinds = dict(zip(labels, handles, strict=True))
        figure.legend(
            list(kinds.values()), list(kinds), loc="outside lower center", ncols=2, frameon=False
        )
    return figure


def _draw_frames(axes: Axes, frames: dict[str, Tensor], names: list[str]) -> None:
    for number in range(len(names)):
        for label, (kind, colour, side) in KINDS.items():
            shown = (frames["video"] == number) & (frames["label"] == label)
            score = frames["score"][shown].numpy()
            place = number + side + np.linspace(-SPREAD, SPREAD, len(score))
            axes.plot(place, score, ".", ms=2, color=colour, label=kind)
    axes.set_yscale("log")
    axes.set_xticks(range(len(names)), names, fontsize=6)


def main() -> None:
    """Read the runs, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    arguments = parser.parse_args()
    pairs = (argument.split("=", 1) for argument in arguments.runs)
    runs = {name: read_scores(Path(folder) / "scores.csv") for name, folder in pairs}
    print_table({name: without(scores) for name, scores in runs.items()})
    (HERE / "figures").mkdir(exist_ok=True)
    draw(runs).savefig(HERE / "figures" / "by_video.png")


if __name__ == "__main__":
    main()
