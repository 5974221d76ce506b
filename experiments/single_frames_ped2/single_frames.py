"""What single frames decide: ``python …/single_frames_ped2/single_frames.py ROOT NAME=RUN …``.

ROOT is the folder of Ped2. Its test frames are searched for jumps: frames that differ from the one
before more than twice as much as those around them do. Each RUN, the folder of a test of ``pred``
or of a baseline, is counted as it is, without the frames whose window has a jump in it, and with
the median of three frames in the place of each, before anything is normalised. Written are, under
NAME into ``results.json`` beside this file, these AUROC, how well normal frames are painted, how
much worse than those around them by their number modulo 12, and which one of each video worst;
``figures/single_frames.png`` shows the steps, the AUROC and the dips.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from omegaconf import OmegaConf
from PIL import Image
from rich.progress import track
from scipy.ndimage import median_filter
from torch import Tensor

from memguard.data.frames import frame_images
from memguard.data.layouts import ped2
from memguard.metrics import frame_auroc
from memguard.report.figures import BLUE, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.results import read_scores
from memguard.scoring import anomaly_score

HERE = Path(__file__).parent
PAST = 4  # frames before the scored one in a window of pred
AROUND = 13  # frames: more than a period of the coding
JUMP = 2.0
PERIOD = 12  # frames, after which the dips repeat
COLOURS = 4  # of lines, after which they repeat
WAYS = {
    "as it is": (BLUE, "o"),
    "without the jumps": (VERMILION, "o"),
    "median of three": ("0.5", "|"),
}
SCORES = {"psnr": "PSNR alone", "distance": "distance alone", "published": "published"}

Columns = dict[str, Tensor]


def steps(source: Path) -> np.ndarray:
    """How much each frame of a video differs from the one before, in units of those around it.

    Returns:
        (frames,), the first one 1.
    """
    images = (np.asarray(Image.open(path).convert("L"), float) for path in frame_images(source))
    before = next(images)
    differences = []
    for image in images:
        differences.append(float(((image - before) ** 2).mean()))
        before = image
    found = np.array(differences)
    return np.concatenate([[1.0], found / median_filter(found, AROUND, mode="nearest")])


def ways(frames: Columns, weight: float) -> dict[str, float]:
    """Count each score, in %; λ of the published one is the weight."""
    psnr, distance, video, label = (frames[n] for n in ("psnr", "distance", "video", "label"))
    scores = {
        "published": anomaly_score(psnr, distance, video, weight),
        "psnr": anomaly_score(psnr, distance, video, 1.0),
        "distance": anomaly_score(psnr, distance, video, 0.0),
        "psnr_unnormalised": -psnr,
    }
    return {name: 100 * frame_auroc(score, label) for name, score in scores.items()}


def running_median(values: Tensor, video: Tensor, size: int) -> Tensor:
    """The running median over so many frames, each video by itself."""
    found = torch.empty_like(values)
    for number in video.unique():
        place = video == number
        found[place] = torch.from_numpy(median_filter(values[place].numpy(), size, mode="nearest"))
    return found


def lowest(frames: Columns, names: list[str]) -> dict[str, int]:
    """The number of each video's frame that is painted worst."""
    video, psnr, frame = (frames[n] for n in ("video", "psnr", "frame"))
    places = [(video == number).nonzero().flatten() for number in range(len(names))]
    return {
        name: int(frame[place[psnr[place].argmin()]])
        for name, place in zip(names, places, strict=True)
    }


def count(frames: Columns, weight: float, jumps: Tensor) -> dict[str, Any]:
    """Count a test in three ways, and look at how well normal and every twelfth frame is painted.

    Args:
        frames: Columns of its ``scores.csv``.
        weight: λ of its score.
        jumps: (frames,), which of them have a jump in their window.
    """
    psnr, video = frames["psnr"], frames["video"]
    medians = {name: running_median(frames[name], video, 3) for name in ("psnr", "distance")}
    excess = psnr - running_median(psnr, video, AROUND)
    phase = frames["frame"] % PERIOD
    return {
        "as it is": ways(frames, weight),
        "without the jumps": ways({n: column[~jumps] for n, column in frames.items()}, weight),
        "median of three": ways(frames | medians, weight),
        "normal frames, dB": float(psnr[frames["label"] == 0].mean()),
        "decibels by phase": [float(excess[phase == p].mean()) for p in range(PERIOD)],
    }


def has_jump(frames: Columns, names: list[str], moved: dict[str, np.ndarray]) -> Tensor:
    """Tell which frames of a test have a jump in their window."""
    jumps = {video: values > JUMP for video, values in moved.items()}
    pairs = zip(frames["video"].int().tolist(), frames["frame"].int().tolist(), strict=True)
    return torch.tensor(
        [bool(jumps[names[video]][frame - PAST + 1 : frame + 1].any()) for video, frame in pairs]
    )


def draw(results: dict[str, Any], moved: dict[str, np.ndarray]) -> Figure:
    """Draw the videos' steps, the runs' dips, and what they make of the jumps."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.9 + 0.22 * len(results)))
        heights = [2.2, 0.7 + 0.22 * len(results)]
        halves = figure.add_gridspec(2, 1, height_ratios=heights)
        left, right = figure.add_subfigure(halves[0]).subplots(1, 2)
        _draw_steps(left, moved)
        _draw_phases(right, results)
        _draw_counts(figure.add_subfigure(halves[1]), results)
    return figure


def _draw_steps(axes: Axes, moved: dict[str, np.ndarray]) -> None:
    for number, values in enumerate(moved.values(), start=1):
        spread = number + np.linspace(-0.35, 0.35, len(values))
        jump = values > JUMP
        axes.plot(spread[~jump], values[~jump], ".", ms=1.5, color=BLUE)
        axes.plot(spread[jump], values[jump], "o", ms=4, color=VERMILION)
    axes.set_title("difference to the frame before,\nin units of those around", loc="left")
    axes.set_xlabel("test video")
    axes.set_xticks(range(1, len(moved) + 1))


def _draw_phases(axes: Axes, results: dict[str, Any]) -> None:
    for index, (name, found) in enumerate(results.items()):
        dips, line = found["decibels by phase"], "-" if index < COLOURS else "--"
        axes.plot(range(PERIOD), dips, line, label=name.replace("_", " "))
    axes.set_title("PSNR less the median of those around, dB", loc="left")
    axes.set_xlabel(f"number of the frame, modulo {PERIOD}")
    axes.legend(fontsize=6, frameon=False, loc="lower right")


def _draw_counts(figure: SubFigure, results: dict[str, Any]) -> None:
    panels = figure.subplots(1, len(SCORES), sharey=True)
    for axes, (score, title) in zip(panels, SCORES.items(), strict=True):
        for way, (colour, mark) in WAYS.items():
            values = [found[way][score] for found in results.values()]
            axes.plot(values, range(len(values)), mark, color=colour, mfc="none", label=way)
        axes.set_title(f"{title}, AUROC in %", loc="left")
        axes.grid(axis="y", lw=0.3)
    panels[0].set_yticks(range(len(results)), [name.replace("_", " ") for name in results])
    panels[0].set_ylim(len(results) - 0.5, -0.5)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)


def main() -> None:
    """Search the videos, count the runs, and write results and figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("root", type=Path, metavar="ROOT")
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    arguments = parser.parse_args()
    records = track(ped2(arguments.root).test, "Test videos", transient=True)
    moved = {record.name: steps(record.source) for record in records}
    path = HERE / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for argument in arguments.runs:
        name, folder = argument.split("=", 1)
        frames, names = read_scores(Path(folder) / "scores.csv")
        jumps = has_jump(frames, names, moved)
        weight = OmegaConf.load(Path(folder) / "config.yaml").scoring.weight
        counted = count(frames, weight, jumps)
        results[name] = counted | {"lowest PSNR": lowest(frames, names)}
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    draw(results, moved).savefig(HERE / "figures" / "single_frames.png")
    for video, values in moved.items():
        frame = int(values.argmax())
        print(f"test video {video}: the largest step is {values[frame]:.2f}, to frame {frame}")


if __name__ == "__main__":
    main()
