"""Terms and scores over the epochs: ``python experiments/paper_ped2/epochs.py``.

Of the trainings by the published settings, at the published size (``pred_full_size_…``) and by the
small network (``pred_small_as_published_…``), whose tests after each tenth epoch are in
``results.json`` beside this file as ``…after_N_epochs_seedS`` and ``…seedS``, the figure
``figures/epochs.png`` shows the PSNR alone, the distance alone, the published score and the worst
patch joined with the PSNR, a line per training.
"""

import json
import re
from collections import defaultdict
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from memguard.report.figures import BLUE, GREEN, PAGE_WIDTH, STYLE, VERMILION

HERE = Path(__file__).parent
ENTRY = re.compile(r"(pred_full_size|pred_small_as_published)(?:_after_(\d+)_epochs)?_seed(\d+)")
PUBLISHED = 97.0  # %, the paper's, after as many epochs
PANELS = {
    "test/auroc_psnr": "PSNR alone",
    "test/auroc_distance": "distance alone",
    "test/auroc": "published",
    "test/auroc_patch_psnr": "patch and PSNR",
}
LINES = {
    ("pred_full_size", 0): ("seed 0", {"color": BLUE}),
    ("pred_full_size", 1): ("seed 1", {"color": VERMILION}),
    ("pred_full_size", 2): ("seed 2", {"color": GREEN}),
    ("pred_small_as_published", 1): ("seed 1, small network", {"color": VERMILION, "ls": ":"}),
}

Training = tuple[str, int]
"""What was trained, and its seed."""

Epochs = dict[int, dict[str, float]]
"""The metrics of a training's tests, by the number of epochs before each."""


def gather() -> dict[Training, Epochs]:
    """Put the tests of each training in order."""
    entries = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    trainings: dict[Training, Epochs] = defaultdict(dict)
    for name, entry in entries.items():
        if found := ENTRY.fullmatch(name):
            epochs = int(found[2] or entry["config"]["trainer"]["max_epochs"])
            trainings[found[1], int(found[3])][epochs] = entry["metrics"]
    return {training: dict(sorted(epochs.items())) for training, epochs in trainings.items()}


def draw(trainings: dict[Training, Epochs]) -> Figure:
    """Draw a panel per way of counting, a line per training."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.3))
        for axes, (key, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
            for training, (label, style) in LINES.items():
                epochs = trainings[training]
                values = [100 * metrics[key] for metrics in epochs.values()]
                axes.plot(list(epochs), values, marker="o", ms=3, label=label, **style)
            if key == "test/auroc":
                axes.axhline(PUBLISHED, color="0.5", lw=0.8, ls="--", label="the paper")
            axes.set_title(title, loc="left")
            axes.set_xlabel("epoch")
        handles, labels = figure.axes[2].get_legend_handles_labels()
        figure.axes[0].set_ylabel("frame AUROC, %")
        figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    return figure


if __name__ == "__main__":
    draw(gather()).savefig(HERE / "figures" / "epochs.png")
