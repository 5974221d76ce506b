"""What more epochs paint better: ``python experiments/recon_ped2/painted.py NAME …``, see --help.

Of a training, NAME, such as ``recon_small_seed0``, the mean PSNR of what it was trained on, of
held-out frames where there are any, and of the test's normal and anomalous frames are written into
``painted.json`` beside this file, with the AUROC of the PSNR alone, after each number of epochs.
``figures/painted.png`` shows all that is in there, trainings that differ by the seed in one panel.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from crowd import count
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from memguard.report.figures import BLUE, GREEN, GREY, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.results import read_scores

HERE = Path(__file__).parent
LINES: dict[str, dict[str, Any]] = {
    "trained on": {"color": GREY, "ls": "--"},
    "held out": {"color": GREEN, "marker": "s"},
    "normal": {"color": BLUE, "marker": "o"},
    "anomalous": {"color": VERMILION, "marker": "o", "mfc": "none"},
}
AUROC = "auroc"
CURVES = {"trained on": "train/psnr", "held out": "val/psnr"}

Epochs = dict[str, dict[str, float]]
"""Mean PSNR in dB of each kind of frame and AUROC in %, by the epochs before."""


def curve(files: Sequence[Path], metric: str) -> dict[int, float]:
    """The mean of a metric over each epoch, by the epochs that are done at its end."""
    values: dict[int, list[float]] = defaultdict(list)
    for path in files:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row.get(metric):
                    values[int(row["epoch"]) + 1].append(float(row[metric]))
    return {epoch: float(np.mean(found)) for epoch, found in values.items()}


def of_test(run: Path) -> dict[str, float]:
    """The mean PSNR of a test's frames, and how well it tells them apart by itself."""
    frames, _ = read_scores(run / "scores.csv")
    psnr, label = frames["psnr"], frames["label"]
    return {
        "normal": float(psnr[label == 0].mean()),
        "anomalous": float(psnr[label == 1].mean()),
        AUROC: count(psnr, frames)["normalised"],
    }


def follow(curves: Sequence[Path], tests: dict[int, Path]) -> Epochs:
    """Follow a training by its curves and by its tests, by the epochs before each."""
    of_curves = {kind: curve(curves, metric) for kind, metric in CURVES.items()}
    return {
        str(epoch): {kind: found[epoch] for kind, found in of_curves.items() if epoch in found}
        | of_test(run)
        for epoch, run in sorted(tests.items())
    }


def draw(trainings: dict[str, Epochs]) -> Figure:
    """Draw a column per kind of training, dB above and AUROC below."""
    kinds: dict[str, list[Epochs]] = defaultdict(list)
    for name, epochs in sorted(trainings.items()):
        kinds[name.rsplit("_seed", 1)[0]].append(epochs)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 3.4))
        grid = figure.subplots(2, len(kinds), sharex=True, height_ratios=(2, 1), squeeze=False)
        for axes in grid[1, 1:]:
            axes.sharey(grid[1, 0])
        for (above, below), (kind, seeds) in zip(grid.T, kinds.items(), strict=True):
            for epochs in seeds:
                _draw_training(above, below, epochs)
            above.set_title(kind.replace("_", " "), loc="left")
            below.set(xlabel="epoch", xticks=range(0, 61, 20))
        grid[0, 0].set_ylabel("mean PSNR, dB")
        grid[1, 0].set_ylabel("AUROC of the\nPSNR alone, %")
        shown: dict[str, Any] = {}
        for axes in grid[0]:
            handles, labels = axes.get_legend_handles_labels()
            shown |= dict(zip(labels, handles, strict=True))
        figure.legend(
            shown.values(), shown.keys(), loc="outside lower center", ncols=4, frameon=False
        )
    return figure


def _draw_training(above: Axes, below: Axes, epochs: Epochs) -> None:
    for kind, style in LINES.items():
        values = {int(n): found[kind] for n, found in epochs.items() if kind in found}
        if values:
            above.plot(list(values), list(values.values()), ms=3, lw=1, label=kind, **style)
    auroc = [found[AUROC] for found in epochs.values()]
    below.plot([int(n) for n in epochs], auroc, "o-", ms=3, lw=1, color="black")


def main() -> None:
    """Follow a training, and draw all that are known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("--curves", nargs="+", type=Path, required=True, help="its metrics.csv")
    parser.add_argument("--tests", nargs="+", required=True, metavar="EPOCHS=RUN")
    arguments = parser.parse_args()
    tests = {int(n): Path(run) for n, run in (pair.split("=", 1) for pair in arguments.tests)}
    path = HERE / "painted.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    known[arguments.name] = follow(arguments.curves, tests)
    path.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    draw(known).savefig(HERE / "figures" / "painted.png")


if __name__ == "__main__":
    main()
