"""How far each video's distance ranges: ``python experiments/ranges_ped2/ranges.py NAME=RUN …``.

The published score stretches the distance of each video to [0, 1], however little it varies there.
For each RUN, the folder of a test, the lowest and the highest distance of each video are written,
how well the distance tells its frames apart, and the AUROC of the PSNR alone, of the published
score and of ``scoring=shared_range`` as the test counted them, under NAME into ``results.json``
beside this file.
``figures/ranges.png`` shows all that is in there.
"""

import argparse
import json
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogFormatterSciNotation, LogLocator, MaxNLocator, NullFormatter
from torch import Tensor

from memguard.metrics import frame_auroc
from memguard.report.figures import BLUE, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.results import read_scores

HERE = Path(__file__).parent
COLUMNS = 3
TITLE_WIDTH = 26  # characters above a panel
SCORES = {
    "psnr": "test/auroc_psnr",
    "published": "test/auroc",
    "shared_range": "test/auroc_shared_range",
}
ONE_CLASS = "0.7"
COLOURS = {
    BLUE: "the distance is higher in anomalous frames",
    VERMILION: "it is lower in them",
    ONE_CLASS: "the video's frames are of one class",
}


def ranges(frames: dict[str, Tensor], names: list[str]) -> dict[str, dict[str, float]]:
    """Find the range of each video's distance, and how well it tells the video's frames apart."""
    found = {}
    for number, name in enumerate(names):
        of_video = frames["video"] == number
        distance, label = frames["distance"][of_video], frames["label"][of_video]
        found[name] = {"lowest": float(distance.min()), "highest": float(distance.max())}
        if len(label.unique()) == 2:
            found[name]["auroc"] = 100 * frame_auroc(distance, label)
    return found


def scores(run: Path) -> dict[str, float]:
    """Read in % what the test counted: the PSNR alone, the published score, a shared range."""
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    return {name: 100 * metrics[key] for name, key in SCORES.items()}


def draw(results: dict[str, Any]) -> Figure:
    """Draw each training's ranges, a bar for each video."""
    rows = -(-len(results) // COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.1 * rows))
        grid = figure.subplots(rows, COLUMNS, squeeze=False)
        for axes, (name, found) in zip(grid.flat, results.items(), strict=False):
            _draw_videos(axes, found["videos"])
            axes.set_title(fill(name.replace("_", " "), TITLE_WIDTH), loc="left", fontsize=8)
        for axes in grid.flat[len(results) :]:
            axes.set_visible(False)
        bars = [
            Line2D([], [], color=colour, lw=4, label=label) for colour, label in COLOURS.items()
        ]
        figure.legend(handles=bars, loc="outside upper center", ncols=3, frameon=False)
        for axes in grid.flat[: len(results)][-COLUMNS:]:
            axes.set_xlabel("video")
        for axes in grid[:, 0]:
            axes.set_ylabel("distance")
    return figure


def _draw_videos(axes: Axes, videos: dict[str, dict[str, float]]) -> None:
    for number, video in enumerate(videos.values(), start=1):
        told_apart = video.get("auroc")
        colour = ONE_CLASS if told_apart is None else BLUE if told_apart >= 50 else VERMILION
        axes.plot([number] * 2, [video["lowest"], video["highest"]], color=colour, lw=4)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.yaxis.set_major_formatter(LogFormatterSciNotation(minor_thresholds=(9, 9)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def main() -> None:
    """Read the runs, and write results and figure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    arguments = parser.parse_args()
    path = HERE / "results.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for argument in arguments.runs:
        name, folder = argument.split("=", 1)
        run = Path(folder)
        frames, names = read_scores(run / "scores.csv")
        results[name] = scores(run) | {"videos": ranges(frames, names)}
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    draw(results).savefig(HERE / "figures" / "ranges.png")


if __name__ == "__main__":
    main()
