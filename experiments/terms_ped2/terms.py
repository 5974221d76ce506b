"""Both terms of the score over the epochs: ``python experiments/terms_ped2/terms.py NAME RUN``.

RUN kept a checkpoint of each epoch (``callbacks=each_epoch``). Each is tested on the dataset it was
trained for, and what is found of every place in every frame is kept in ``RUN/terms/``, so that
further ways of counting need no new test. Written are the AUROC of the PSNR term, of the distance
term in several ways of joining its places, and of both terms together, under NAME into
``results.json`` and ``figures/NAME.png`` beside this file.
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
from omegaconf import OmegaConf
from rich.progress import track
from torch import Tensor

from memguard.checkpoints import CONFIG_KEY, read_checkpoint
from memguard.config import register_resolvers
from memguard.experiment import build_benchmark, build_datamodule, restore
from memguard.metrics import FrameAUROC
from memguard.report.figures import BLUE, PAGE_WIDTH, STYLE, VERMILION
from memguard.scoring import anomaly_score

HERE = Path(__file__).parent

Found = dict[str, Tensor]
Join = Callable[[Tensor], Tensor]
"""From how far each place of a frame is, (N, K), to how far the frame is, (N,)."""


def farthest(share: float) -> Join:
    """The mean over a share of each frame's places, the farthest."""
    return lambda far: far.topk(round(share * far.shape[1]), dim=1).values.mean(dim=1)


PUBLISHED, ROOT = "squares", "lengths"
JOINS: dict[str, Join] = {
    PUBLISHED: lambda far: far.mean(dim=1),
    ROOT: lambda far: far.sqrt().mean(dim=1),
    "farthest 20 %": farthest(0.2),
    "farthest 2 %": farthest(0.02),
}


@torch.no_grad()
def find(checkpoint: Path) -> Found:
    """Test a checkpoint: video, label and PSNR of each frame, and how far each place is, (N, K)."""
    detector, config = restore(checkpoint)
    datamodule = build_datamodule(config, replace(build_benchmark(config), train=()))
    datamodule.prepare_data()
    datamodule.setup()
    parts: list[Found] = []
    detector.eval().begin_test()
    for batch in track(datamodule.test_dataloader(), checkpoint.stem):
        scored = detector.score_frames(batch.frames, batch.video)
        likest = scored["similarity"].amax(dim=-1).flatten(1)
        far = (2 - 2 * likest) / scored["query"].shape[-1]  # of unit rows, the mean squared error
        parts.append(
            {"video": batch.video, "label": batch.label, "psnr": scored["psnr"], "far": far}
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


def areas(found: Found, weight: float) -> dict[str, float]:
    """AUROC in % of each term and of both together, normalised per video."""

    def area(distance: Tensor, share: float) -> float:
        metric = FrameAUROC()
        score = anomaly_score(found["psnr"], distance, found["video"], share)
        metric.update(score, found["label"], found["video"])
        return 100 * float(metric.compute())

    rows = {"psnr": area(found["psnr"], 1.0)}
    for name, join in JOINS.items():
        distance = join(found["far"].clamp(min=0))
        rows[f"distance, {name}"] = area(distance, 0.0)
        rows[f"both, {name}"] = area(distance, weight)
    return rows


def draw(rows: list[dict[str, float]]) -> Figure:
    """Draw the terms over the epochs: each by itself, and together."""
    epochs = range(1, len(rows) + 1)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.8))
        terms, together = figure.subplots(1, 2)
        psnr = [row["psnr"] for row in rows]
        for axes, what, title in ((terms, "distance", "Each term"), (together, "both", "Together")):
            axes.plot(epochs, psnr, "o-", ms=3, color="0.5", label="PSNR")
            for join, colour, label in (
                (PUBLISHED, VERMILION, "distance, mean of squares (published)"),
                (ROOT, BLUE, "distance, mean of lengths"),
            ):
                values = [row[f"{what}, {join}"] for row in rows]
                axes.plot(epochs, values, "s-", ms=3, color=colour, label=label)
            axes.set_title(title, loc="left")
            axes.set(xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        terms.set_ylabel("AUROC, %")
        figure.legend(
            *terms.get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False
        )
    return figure


def main() -> None:
    """Test what was not tested yet, and write results and figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("name")
    parser.add_argument("run", type=Path)
    arguments = parser.parse_args()
    register_resolvers()
    checkpoints = sorted((arguments.run / "checkpoints").glob("epoch*.ckpt"))
    if not checkpoints:
        raise SystemExit(f"{arguments.run}: no checkpoints/epoch*.ckpt (callbacks=each_epoch)")
    config: Any = OmegaConf.create(read_checkpoint(checkpoints[0])[CONFIG_KEY])
    rows = [areas(kept(arguments.run, path), config.scoring.weight) for path in checkpoints]
    results = HERE / "results.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    known[arguments.name] = rows
    results.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    draw(rows).savefig(HERE / "figures" / f"{arguments.name}.png")


if __name__ == "__main__":
    main()
