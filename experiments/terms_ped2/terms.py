"""Both terms of the score over the epochs: ``python experiments/terms_ped2/terms.py NAME RUN``.

RUN kept a checkpoint of each epoch (``callbacks=each_epoch``). Each is tested on the dataset it was
trained for, and what is found of every place in every frame is kept in ``RUN/terms/``, so that
further ways of counting need no new test. Written are the AUROC of the PSNR term, of the distance
term in several ways of joining its places, of both terms together, also with a range of the
distance that all videos share, and of the worst patch, under NAME into ``results.json`` and
``figures/NAME.png`` beside this file.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.progress import track
from torch import Tensor

from memguard.builders import build_benchmark, build_datamodule
from memguard.config import register_resolvers
from memguard.metrics import frame_auroc
from memguard.protocols import Scoring
from memguard.report.figures import BLUE, GREEN, PAGE_WIDTH, STYLE, VERMILION
from memguard.scoring import anomaly_score
from memguard.trained import restore

HERE = Path(__file__).parent
SMALLEST = 1e-12  # what rounding leaves of no distance at all

Found = dict[str, Tensor]
Join = Callable[[Tensor], Tensor]
"""From how far each place of each frame is, (N, K), to how far the frame is, (N,)."""


def farthest(share: float) -> Join:
    """The mean over a share of each frame's places, the farthest."""
    return lambda far: far.topk(round(share * far.shape[1]), dim=1).values.mean(dim=1)


def most_unusual(far: Tensor) -> Tensor:
    """How far the place is that is the most unusual: each is judged by its own median and spread.

    Both are of all tested frames, whose labels are not looked at; yet they must have been seen.
    """
    usual = far.median(dim=0).values
    spread = (far - usual).abs().median(dim=0).values
    return ((far - usual) / spread).amax(dim=1)


UNUSUAL = "most unusual place"
SHARED = "both, squares, shared range"
JOINS: dict[str, Join] = {
    "squares": lambda far: far.mean(dim=1),
    "lengths": lambda far: far.sqrt().mean(dim=1),
    "farthest 20 %": farthest(0.2),
    "farthest 2 %": farthest(0.02),
    UNUSUAL: most_unusual,
}

Lines = dict[str, tuple[str, str]]
"""Colour and label of what is drawn, by its name."""

TERMS: Lines = {
    "psnr": (BLUE, "PSNR"),
    "distance, squares": (VERMILION, "distance, as published"),
    f"distance, {UNUSUAL}": (GREEN, "distance of the most unusual place"),
}
SCORES: Lines = {
    "both, squares": (VERMILION, "PSNR and distance, as published"),
    f"both, {UNUSUAL}": (GREEN, "PSNR and the most unusual place"),
    SHARED: (BLUE, "PSNR and distance, one range for all videos"),
    "worst patch": ("0.3", "worst patch, not normalised"),
}


@torch.no_grad()
def find(checkpoint: Path) -> Found:
    """Test a checkpoint.

    Returns:
        Video, label and PSNR of each frame, (N,); how far each place is, (N, K); and the squared
        error of each patch, (N, rows, columns).
    """
    detector, config = restore(checkpoint)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    datamodule = build_datamodule(config, replace(build_benchmark(config), train=()))
    datamodule.prepare_data()
    datamodule.setup()
    parts: list[Found] = []
    detector.to(device).eval().begin_test()
    for batch in track(datamodule.test_dataloader(), checkpoint.stem):
        scored = detector.score_frames(batch.frames.to(device), batch.video)
        likest = scored["similarity"].amax(dim=-1).flatten(1)
        far = (2 - 2 * likest) / scored["query"].shape[-1]  # of unit rows, the mean squared error
        found = {"psnr": scored["psnr"], "patch": scored["patch"], "far": far}
        parts.append(
            {name: values.cpu() for name, values in found.items()}
            | {"video": batch.video, "label": batch.label}
        )
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def kept(run: Path, checkpoint: Path) -> Found:
    """What was found of a checkpoint, tested only if it was not before."""
    path = run / "terms" / f"{checkpoint.stem}.npz"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        arrays: Any = {name: values.numpy() for name, values in find(checkpoint).items()}
        np.savez_compressed(path, **arrays)
    with np.load(path) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def areas(found: Found, how: Scoring) -> dict[str, float]:
    """AUROC in % of each term, of both, normalised per video, and of the worst patch."""
    label, video = found["label"], found["video"]

    def area(score: Tensor) -> float:
        return 100 * frame_auroc(score, label)

    def joined(distance: Tensor, weight: float) -> float:
        return area(anomaly_score(found["psnr"], distance, video, weight))

    rows = {"psnr": joined(found["psnr"], 1.0)}
    for name, join in JOINS.items():
        distance = join(found["far"].clamp(min=SMALLEST))
        rows[f"distance, {name}"] = joined(distance, 0.0)
        rows[f"both, {name}"] = joined(distance, how.weight)
    worst = [how.worst_patch(found["patch"][video == number]) for number in video.unique()]
    distance = JOINS["squares"](found["far"])
    frames = {
        "video": video,
        "psnr": found["psnr"],
        "distance": distance,
        "patch": torch.cat(worst),
    }
    scores = how.scores(frames)
    return rows | {SHARED: area(scores["shared_range"]), "worst patch": area(scores["patch"])}


def draw(rows: list[dict[str, float]]) -> Figure:
    """Draw the terms over the epochs: each by itself, and the scores made of them."""
    epochs = [row["epoch"] for row in rows]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 3.4))
        terms, scores = figure.subplots(1, 2)
        for axes, lines, title in ((terms, TERMS, "Each term"), (scores, SCORES, "Scores")):
            for name, (colour, label) in lines.items():
                values = [row[name] for row in rows]
                axes.plot(epochs, values, "o-", ms=3, color=colour, label=label)
            axes.set_title(title, loc="left")
            axes.set(xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        no_model = "no model: difference of two frames"
        scores.axhline(_no_model(), color="0.5", lw=0.8, ls="--", label=no_model)
        for axes in (terms, scores):
            axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(-0.1, -0.18))
        terms.set_ylabel("AUROC, %")
    return figure


def _no_model() -> float:
    """AUROC in % of the difference of two frames, as published."""
    results = HERE.parent / "paper_ped2" / "results.json"
    metrics = json.loads(results.read_text(encoding="utf-8"))["frame_difference"]["metrics"]
    return 100 * float(metrics["test/auroc"])


def main() -> None:
    """Test what was not tested yet, and write results and figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("run", type=Path)
    parser.add_argument("--every", type=int, default=1, help="epochs from one test to the next")
    arguments = parser.parse_args()
    register_resolvers()
    kept_epochs = sorted((arguments.run / "checkpoints").glob("epoch*.ckpt"))
    if not kept_epochs:
        raise SystemExit(f"{arguments.run}: no checkpoints/epoch*.ckpt (callbacks=each_epoch)")
    how = restore(kept_epochs[0])[0].scoring
    rows = [
        {"epoch": int(path.stem.removeprefix("epoch")) + 1} | areas(kept(arguments.run, path), how)
        for path in kept_epochs[:: -arguments.every][::-1]
    ]
    results = HERE / "results.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    known[arguments.name] = rows
    results.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    draw(rows).savefig(HERE / "figures" / f"{arguments.name}.png")


if __name__ == "__main__":
    main()
