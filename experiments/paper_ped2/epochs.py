"""Terms and scores over the epochs: ``python experiments/paper_ped2/epochs.py``.

Of the trainings at the published size, whose tests after each tenth epoch are in ``results.json``
beside this file as ``pred_full_size_after_N_epochs_seedS`` and ``pred_full_size_seedS``, the figure
``figures/epochs.png`` shows the PSNR alone, the distance alone, the published score and the worst
patch joined with the PSNR, a line per seed.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from memguard.report.figures import BLUE, GREEN, PAGE_WIDTH, STYLE, VERMILION

HERE = Path(__file__).parent
ENTRY = re.compile(r"pred_full_size(?:_after_(\d+)_epochs)?_seed(\d+)")
PUBLISHED = 97.0  # %, the paper's, after as many epochs
PANELS = {
    "test/auroc_psnr": "PSNR alone",
    "test/auroc_distance": "distance alone",
    "test/auroc": "published",
    "test/auroc_patch_psnr": "patch and PSNR",
}
COLOURS = {0: BLUE, 1: VERMILION, 2: GREEN}

Epochs = dict[int, dict[str, float]]
"""The metrics of a training's tests, by the number of epochs before each."""


def gather() -> dict[int, Epochs]:
    """Put the tests of each seed in order."""
    entries = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    seeds: dict[int, Epochs] = defaultdict(dict)
    for name, entry in entries.items():
        if found := ENTRY.fullmatch(name):
            epochs = int(found[1] or entry["config"]["trainer"]["max_epochs"])
            seeds[int(found[2])][epochs] = entry["metrics"]
    return {seed: dict(sorted(epochs.items())) for seed, epochs in seeds.items()}


def draw(seeds: dict[int, Epochs]) -> Figure:
    """Draw a panel per way of counting, a line per seed."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.3))
        for axes, (key, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            for seed, epochs in seeds.items():
                values = [100 * metrics[key] for metrics in epochs.values()]
                axes.plot(
                    list(epochs), values, "o-", ms=3, color=COLOURS[seed], label=f"seed {seed}"
                )
            if key == "test/auroc":
                axes.axhline(PUBLISHED, color="0.5", lw=0.8, ls="--", label="the paper")
            axes.set_title(title, loc="left")
            axes.set_xlabel("epoch")
        handles, labels = figure.axes[2].get_legend_handles_labels()
        figure.axes[0].set_ylabel("frame AUROC, %")
        figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return figure


if __name__ == "__main__":
    draw(gather()).savefig(HERE / "figures" / "epochs.png")
