"""What came out of the ablation: ``python experiments/ablation_ped2/summary.py [RUN…]``.

Reads ``results.json`` beside this file, whose entries are named ``WHAT_seedN`` as
``experiments/record.py`` wrote them, prints a table of means and draws ``figures/parts.png``. Of
each RUN, a folder with ``scores.csv``, it draws AUROC over λ from 0 to 1 in ``figures/weight.png``.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from memguard.metrics import FrameAUROC
from memguard.report.figures import BLUE, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.results import read_scores
from memguard.scoring import anomaly_score

HERE = Path(__file__).parent
WAYS = {
    "test/auroc": "published",
    "test/auroc_psnr": "PSNR alone",
    "test/auroc_distance": "distance alone",
    "test/auroc_patch": "worst patch",
    "test/auroc_patch_psnr": "patch and PSNR, smoothed",
}
WEIGHTS = np.linspace(0, 1, 21)

Values = dict[str, dict[str, list[float]]]
"""AUROC in % of each seed, by variant and by way of counting."""


def gather() -> Values:
    """Put the entries of all seeds of a variant together."""
    entries = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    values: Values = defaultdict(lambda: defaultdict(list))
    for name, entry in entries.items():
        for key in WAYS:
            if key in entry["metrics"]:
                values[name.rpartition("_seed")[0]][key].append(100 * entry["metrics"][key])
    return values


def print_table(values: Values) -> None:
    """Print means over seeds, and from where to where they go."""
    table = Table(title="Frame AUROC in %, mean over seeds (lowest to highest)")
    for column in ("variant", "seeds", *WAYS.values()):
        table.add_column(column)
    for variant, ways in values.items():
        cells = [
            f"{mean(v):.1f} ({min(v):.1f}–{max(v):.1f})" if (v := ways.get(key)) else "–"
            for key in WAYS
        ]
        table.add_row(variant, str(len(next(iter(ways.values())))), *cells)
    Console(width=140).print(table)


def draw_parts(values: Values) -> Figure:
    """Draw a panel per way of counting, a row per variant, a circle per seed."""
    variants = list(values)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 0.24 * len(variants) + 0.7))
        panels = figure.subplots(1, len(WAYS), sharey=True)
        for axes, (key, title) in zip(panels, WAYS.items(), strict=True):
            for place, variant in enumerate(variants):
                if found := values[variant].get(key):
                    axes.plot(found, [place] * len(found), "o", ms=4, mfc="none", color=BLUE)
                    axes.plot(mean(found), place, "|", ms=10, mew=1.5, color=VERMILION)
            axes.set_title(title)
            axes.grid(axis="y", lw=0.3)
        panels[0].set_yticks(range(len(variants)), variants)
        panels[0].invert_yaxis()
        figure.supxlabel("frame AUROC, %: circles are seeds, bars their means", fontsize=8)
    return figure


def draw_weights(runs: list[Path]) -> Figure:
    """Draw AUROC over λ, a line per run."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH / 2, 2.4))
        axes = figure.subplots()
        for run in runs:
            frames, _ = read_scores(run / "scores.csv")
            curve = [_auroc_of_weight(frames, float(weight)) for weight in WEIGHTS]
            axes.plot(WEIGHTS, curve, lw=1, color=BLUE)
        axes.set(xlabel="λ, share of the PSNR term", ylabel="frame AUROC, %")
    return figure


def _auroc_of_weight(frames: dict[str, torch.Tensor], weight: float) -> float:
    score = anomaly_score(frames["psnr"], frames["distance"], frames["video"], weight)
    metric = FrameAUROC()
    metric.update(score, frames["label"], frames["video"])
    return 100 * float(metric.compute())


def main() -> None:
    """Print and draw."""
    figures = HERE / "figures"
    figures.mkdir(exist_ok=True)
    values = gather()
    print_table(values)
    draw_parts(values).savefig(figures / "parts.png")
    if runs := [Path(argument) for argument in sys.argv[1:]]:
        draw_weights(runs).savefig(figures / "weight.png")


if __name__ == "__main__":
    main()
