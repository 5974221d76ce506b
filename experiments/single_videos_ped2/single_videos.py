"""What single videos decide: ``python experiments/single_videos_ped2/single_videos.py NAME=RUN …``.

Each RUN, the folder of a test of ``pred`` on Ped2, is counted as it is and without each of its
videos in turn. The AUROC of the published score and of either of its terms are written under NAME
into ``results.json`` beside this file; ``figures/single_videos.png`` shows what each video costs.
"""

import argparse
import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from torch import Tensor

from memguard.metrics import frame_auroc
from memguard.report.figures import BLUE, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.results import read_scores
from memguard.scoring import anomaly_score

HERE = Path(__file__).parent
TERMS = {"psnr": 1.0, "distance": 0.0}  # λ that leaves one alone
TITLES = {"published": "published", "psnr": "PSNR alone", "distance": "distance alone"}
ALL = "all"

Counts = dict[str, dict[str, float]]
"""AUROC in % of each score, by the video that is left out, and of all videos."""


def count(frames: dict[str, Tensor]) -> dict[str, float]:
    """Count each score, in %."""
    psnr, distance, video = (frames[name] for name in ("psnr", "distance", "video"))
    terms = {name: anomaly_score(psnr, distance, video, weight) for name, weight in TERMS.items()}
    scores = {"published": frames["score"]} | terms
    return {name: 100 * frame_auroc(score, frames["label"]) for name, score in scores.items()}


def leave_out(run: Path) -> Counts:
    """Count a test as it is, and without each of its videos."""
    frames, names = read_scores(run / "scores.csv")
    counts = {ALL: count(frames)}
    for number, name in enumerate(names):
        others = frames["video"] != number
        counts[name] = count({column: values[others] for column, values in frames.items()})
    return counts


def draw(results: dict[str, Counts]) -> Figure:
    """Draw by how much each score rises without a video, a mark per run."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.6))
        for axes, (score, title) in zip(figure.subplots(1, 3), TITLES.items(), strict=True):
            for name, counts in results.items():
                videos = [video for video in counts if video != ALL]
                gained = [counts[video][score] - counts[ALL][score] for video in videos]
                full_size = "full_size" in name
                label = "the published size" if full_size else "small networks"
                colour, face = (BLUE, BLUE) if full_size else (VERMILION, "none")
                axes.plot(videos, gained, "o", ms=4, color=colour, mfc=face, label=label)
            axes.axhline(0, color="0.5", lw=0.6)
            axes.set_title(title, loc="left")
            axes.tick_params(axis="x", labelsize=6)
            axes.set_xlabel("test video left out")
        figure.axes[0].set_ylabel("gained, points of AUROC")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        kinds = dict(zip(labels, handles, strict=True))
        figure.legend(
            kinds.values(), kinds.keys(), loc="outside lower center", ncols=2, frameon=False
        )
    return figure


def main() -> None:
    """Count the runs, and write results and figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    pairs = (argument.split("=", 1) for argument in parser.parse_args().runs)
    path = HERE / "results.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    results = known | {name: leave_out(Path(folder)) for name, folder in pairs}
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    (HERE / "figures").mkdir(exist_ok=True)
    draw(results).savefig(HERE / "figures" / "single_videos.png")


if __name__ == "__main__":
    main()
