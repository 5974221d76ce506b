"""What patch size and smoothing are worth.

``python experiments/patch_ped2/sensitivity.py NAME CHECKPOINT DATASET ROOT``

Tests a checkpoint once, keeps every painted frame, and counts ``scoring=patch`` for every size of
patch and every smoothing of a grid. Written are, beside this file, ``results.json`` under NAME and
``figures/NAME.png``; the defaults of ``conf/scoring`` are marked. They were not chosen by this
figure: see ``moving_size.py``.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.progress import track
from torch import Tensor

from memguard.builders import build_datamodule
from memguard.config import register_resolvers
from memguard.data import layouts
from memguard.metrics import frame_auroc
from memguard.protocols import Scoring
from memguard.report.figures import BLUE, PAGE_WIDTH, STYLE, VERMILION
from memguard.scoring import patch_error
from memguard.trained import restore

HERE = Path(__file__).parent
SIZES = [(0.05, 0.025), (0.1, 0.05), (0.15, 0.075), (0.2, 0.1), (0.3, 0.15), (0.4, 0.2), (1.0, 1.0)]
SMOOTHINGS = [0.0, 1.0, 2.0, 4.0, 8.0]


@dataclass(frozen=True)
class Painted:
    """A test's frames: what was there and what was painted, a tensor (frames, C, H, W) a video.

    Attributes:
        scoring: What the checkpoint scores with.
        targets: What was there, of each video.
        outputs: What was painted.
        labels: (all frames,), end to end.
    """

    scoring: Scoring
    targets: list[Tensor]
    outputs: list[Tensor]
    labels: Tensor


@torch.no_grad()
def paint(checkpoint: Path, dataset: str, root: str) -> Painted:
    """Test a checkpoint and keep every frame."""
    detector, config = restore(checkpoint)
    datamodule = build_datamodule(config, replace(getattr(layouts, dataset)(root), train=()))
    datamodule.prepare_data()
    datamodule.setup()
    targets: dict[int, list[Tensor]] = {}
    outputs: dict[int, list[Tensor]] = {}
    labels: list[Tensor] = []
    detector.eval().begin_test()
    for batch in track(datamodule.test_dataloader(), "Testing"):
        video = int(batch.video[0])
        scored = detector.score_frames(batch.frames, batch.video)
        targets.setdefault(video, []).append(scored["target"])
        outputs.setdefault(video, []).append(scored["output"])
        labels.append(batch.label)
    return Painted(
        detector.scoring,
        [torch.cat(parts) for parts in targets.values()],
        [torch.cat(parts) for parts in outputs.values()],
        torch.cat(labels),
    )


def auroc(painted: Painted, how: Scoring) -> float:
    """Count ``scoring=patch``, unnormalised, all frames of all videos together."""
    pairs = zip(painted.outputs, painted.targets, strict=True)
    worst = [how.worst_patch(patch_error(*pair, how.patch)) for pair in pairs]
    return frame_auroc(torch.cat(worst), painted.labels)


def draw(values: dict[str, dict[str, float]], chosen: Scoring) -> Figure:
    """Draw AUROC over patch height with a line per smoothing, and over smoothing at the default."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.6))
        left, right = figure.subplots(1, 2, sharey=True)
        _draw_sizes(left, values, chosen)
        _draw_smoothings(right, values, chosen)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False)
    return figure


def _draw_sizes(axes: Axes, values: dict[str, dict[str, float]], chosen: Scoring) -> None:
    heights = [height for height, _ in SIZES]
    shades = mpl.colormaps["cividis"]
    for number, smoothing in enumerate(SMOOTHINGS):
        curve = [100 * values[_key(size)][str(smoothing)] for size in SIZES]
        shade = shades(number / len(SMOOTHINGS))
        axes.plot(heights, curve, marker="o", ms=3, lw=1, color=shade, label=f"σ = {smoothing:g}")
    axes.axvline(chosen.patch[0], color=VERMILION, lw=0.8, ls="--", label="default")
    axes.set(xscale="log", xlabel="height of a patch, share of the picture's", ylabel="AUROC, %")
    axes.set_xticks(heights, [f"{height:g}" for height in heights])
    axes.minorticks_off()


def _draw_smoothings(axes: Axes, values: dict[str, dict[str, float]], chosen: Scoring) -> None:
    row = values[_key((chosen.patch[0], chosen.patch[1]))]
    axes.plot(SMOOTHINGS, [100 * row[str(s)] for s in SMOOTHINGS], "o-", ms=3, lw=1, color=BLUE)
    axes.axvline(chosen.smoothing, color=VERMILION, lw=0.8, ls="--")
    axes.set(xlabel="smoothing σ, frames (patch as by default)")


def _key(size: tuple[float, float]) -> str:
    return f"{size[0]:g}x{size[1]:g}"


def main() -> None:
    """Count the grid, and draw it."""
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    register_resolvers()
    name, checkpoint, dataset, root = sys.argv[1:]
    painted = paint(Path(checkpoint), dataset, root)
    chosen = painted.scoring
    values = {
        _key(size): {
            str(smoothing): auroc(painted, replace(chosen, patch=size, smoothing=smoothing))
            for smoothing in SMOOTHINGS
        }
        for size in track(SIZES, "Counting")
    }
    (HERE / "figures").mkdir(exist_ok=True)
    path = HERE / "results.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps(known | {name: values}, indent=2) + "\n", encoding="utf-8")
    draw(values, chosen).savefig(HERE / "figures" / f"{name}.png")


if __name__ == "__main__":
    main()
