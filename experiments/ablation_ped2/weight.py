"""AUROC over λ: ``python experiments/ablation_ped2/weight.py FIGURE RUN…``.

Of each RUN, a folder with ``scores.csv``, it draws a line in FIGURE, from the distance alone (0) to
the PSNR alone (1).
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
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


def draw(runs: list[Path]) -> Figure:
    """Draw AUROC over λ, a line per run."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH / 2, 2.4))
        axes = figure.subplots()
        for run in runs:
            frames, _ = read_scores(run / "scores.csv")
            curve = [auroc(frames, frames["distance"], float(weight)) for weight in WEIGHTS]
            axes.plot(WEIGHTS, curve, lw=1, label=run.name.replace("_", " "))
        axes.set(xlabel="λ, share of the PSNR term", ylabel="frame AUROC, %")
        axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    figure, *runs = map(Path, sys.argv[1:])
    draw(runs).savefig(figure)
