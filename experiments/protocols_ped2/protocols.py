"""How many points each way of counting is worth.

``python experiments/protocols_ped2/protocols.py NAME RUN FRESH_RUN DATASET ROOT``

RUN is the folder of a training or of a test of its checkpoint, FRESH_RUN that of such a test with
``guard.scope=video``; a baseline has no items and takes its folder twice. From their ``scores.csv``
the AUROC is counted in every way in use, each time with one choice changed against the published
protocol. Adds NAME, ``WHAT_seedN`` or, without seeds, ``WHAT``, to ``results.json`` and draws all
of them in ``figures/protocols.png``, both beside this file.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from torch import Tensor

from memguard.config import register_resolvers
from memguard.data import layouts
from memguard.data.layouts import Benchmark, count_frames
from memguard.metrics import frame_auroc
from memguard.protocols import Scoring
from memguard.report.figures import PAGE_WIDTH, STYLE
from memguard.report.results import read_scores

HERE = Path(__file__).parent
SIGMA = 2.0  # frames, as conf/scoring has it
PUBLISHED = "published: micro, each video's score normalised, items carried on, first four skipped"
# What metrics.json has of scores that need more than scores.csv holds.
PATCHES = {
    "test/auroc_patch": "worst patch, not normalised",
    "test/auroc_patch_normalised": "worst patch, each video's normalised",
    "test/auroc_patch_psnr": "worst patch and PSNR term, smoothed",
}


def padded(frames: dict[str, Tensor], score: Tensor, benchmark: Benchmark) -> tuple[Tensor, Tensor]:
    """Give the frames that have no past the score of the first that has one.

    Returns:
        Score and label of every frame of every video.
    """
    scores, labels = [], []
    for number, record in enumerate(benchmark.test):
        assert record.labels is not None
        label = record.labels(count_frames(record.source))
        of_video = score[frames["video"] == number]
        scores += [of_video[:1].expand(len(label) - len(of_video)), of_video]
        labels.append(torch.from_numpy(np.asarray(label)))
    return torch.cat(scores), torch.cat(labels)


def count(run: Path, fresh_run: Path, benchmark: Benchmark) -> dict[str, float]:
    """Count in every way.

    Args:
        run: The folder of a training, of a test of its checkpoint, or of a baseline.
        fresh_run: The folder of a test with items afresh in each video.
        benchmark: What both were tested on.
    """
    weight = OmegaConf.load(run / "config.yaml").scoring.weight
    how = Scoring("published", weight, patch=(1, 1), smoothing=SIGMA, causal=False)
    frames, _ = read_scores(run / "scores.csv")
    fresh, _ = read_scores(fresh_run / "scores.csv")
    psnr, distance, video, label = (frames[n] for n in ("psnr", "distance", "video", "label"))
    columns = frames | {"patch": torch.zeros_like(psnr)}  # what is made of patches is read below
    made = how.scores(columns)
    over_the_past = replace(how, causal=True).scores(columns)["smoothed"]
    score = made["published"]
    counted = {
        PUBLISHED: frame_auroc(score, label),
        "macro": frame_auroc(score, label, video),
        "not normalised per video": frame_auroc(made["unnormalised"], label),
        "distance by one range for all videos": frame_auroc(made["shared_range"], label),
        "PSNR term alone": frame_auroc(made["psnr"], label),
        "PSNR term alone, not normalised": frame_auroc(-psnr, label),
        "distance term alone": frame_auroc(made["distance"], label),
        "distance term alone, not normalised": frame_auroc(distance, label),
        f"smoothed over time, σ = {SIGMA:g}": frame_auroc(made["smoothed"], label),
        f"smoothed over the past, σ = {SIGMA:g}": frame_auroc(over_the_past, label),
        "items afresh in each video": frame_auroc(fresh["score"], fresh["label"]),
        "first four frames padded": frame_auroc(*padded(frames, score, benchmark)),
    }
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return counted | {row: metrics[name] for name, row in PATCHES.items() if name in metrics}


def draw(results: dict[str, dict[str, float]]) -> Figure:
    """Draw a row per choice: AUROC of each run, a colour for what it is a run of."""
    rows = list(next(iter(results.values())))
    variants: dict[str, list[dict[str, float]]] = {}
    for name, counted in results.items():
        variants.setdefault(name.partition("_seed")[0], []).append(counted)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 0.24 * len(rows) + 0.9))
        axes = figure.subplots()
        for index, (variant, runs) in enumerate(variants.items()):
            _draw_variant(axes, variant, runs, f"C{index}")
        axes.set_yticks(range(len(rows)), [row.split(":")[0] for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("frame AUROC, %: a circle per run, bars their means, lines as published")
        axes.grid(axis="y", lw=0.3)
        figure.legend(loc="outside upper right", ncols=len(variants), frameon=False)
    return figure


def _draw_variant(axes: Axes, variant: str, runs: list[dict[str, float]], colour: str) -> None:
    for place, row in enumerate(runs[0]):
        values = [100 * counted[row] for counted in runs]
        label = variant.replace("_", " ") if place == 0 else None
        axes.plot(values, [place] * len(values), "o", ms=4, mfc="none", color=colour, label=label)
        axes.plot(np.mean(values), place, "|", ms=11, mew=1.5, color=colour)
    published = np.mean([100 * counted[PUBLISHED] for counted in runs])
    axes.axvline(float(published), color=colour, lw=0.6, ls="--")


def main() -> None:
    """Count one run, print it, and draw all."""
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    register_resolvers()
    name, run, fresh_run, dataset, root = sys.argv[1:]
    counted = count(Path(run), Path(fresh_run), getattr(layouts, dataset)(root))
    path = HERE / "results.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results = known | {name: counted}
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    draw(results).savefig(HERE / "figures" / "protocols.png")
    table = Table(title=f"Frame AUROC of {name}, %")
    table.add_column("way of counting")
    table.add_column("AUROC", justify="right")
    table.add_column("points", justify="right")
    for row, value in counted.items():
        points = 100 * (value - counted[PUBLISHED])
        table.add_row(row, f"{100 * value:.1f}", f"{points:+.1f}" if points else "")
    Console().print(table)


if __name__ == "__main__":
    main()
