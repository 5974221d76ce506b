"""What the PSNR goes by: ``python experiments/recon_ped2/crowd.py ROOT NAME=RUN…``.

The median frame of all training videos of Ped2, which lies in ROOT, has nobody in it. How far a
test frame is from it, as a PSNR, says how much of the picture is people, and asks no network. For
each RUN, the folder of a test, a line is fitted from that to the run's PSNR, over the normal
frames. Written under NAME into ``crowd.json`` beside this file, where a name that is there already
is replaced, and printed are how much of the PSNR's variance the line explains, and how well frames
are told apart by the PSNR and by what the line leaves of it; with ``--on-training``, tests of the
same networks on the videos they were trained on, by what the lines over all frames of those and
over those held out, where there are any, leave as well, which know no frame of the test.
``figures/crowd.png`` shows the lines of SHOWN, where both are among the RUNs, and what the lines
leave of each that is recorded.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from memguard.checkpoints import CONFIG_KEY, read_checkpoint
from memguard.data.frames import frame_images
from memguard.data.layouts import VideoRecord, ped2
from memguard.metrics import frame_auroc
from memguard.report.figures import BLUE, GREY, PAGE_WIDTH, STYLE, VERMILION
from memguard.report.results import read_scores
from memguard.scoring import anomaly_score

HERE = Path(__file__).parent
RECORD = HERE / "crowd.json"
SHOWN = ("recon_full_size_after_40_epochs_seed0", "pred_full_size_seed0")
COUNTED = ("psnr", "left", "left_by_training", "left_by_held_out")
CHANGED = 25  # grey levels, as in ../single_videos_ped2
WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "PSNR, dB": lambda apart: 20 * np.log10(255) - 10 * np.log10((apart**2).mean(axis=(1, 2))),
    "mean absolute difference": lambda apart: -apart.mean(axis=(1, 2)),
    f"pixels more than {CHANGED} levels apart": lambda apart: -(apart > CHANGED).mean(axis=(1, 2)),
}
"""How near a video's frames are to the empty picture, from (frames, height, width) grey levels."""
PSNR = next(iter(WAYS))

Near = dict[str, dict[str, np.ndarray]]
"""By way and video, (frames,)."""


def load(source: Path) -> np.ndarray:
    """Read the grey levels of a video, (frames, height, width)."""
    images = [np.asarray(Image.open(path).convert("L")) for path in frame_images(source)]
    return np.stack(images)


def median_frame(sources: Iterable[Path]) -> np.ndarray:
    """The median of each pixel over all frames of some videos, (height, width)."""
    frames = np.concatenate([load(source) for source in sources])
    return np.stack([np.median(frames[:, row], axis=0) for row in range(frames.shape[1])])


def near(empty: np.ndarray, videos: Sequence[VideoRecord]) -> Near:
    """Find how near each frame is to the empty picture."""
    found: Near = {way: {} for way in WAYS}
    for record in track(videos, transient=True):
        apart = np.abs(load(record.source) - empty)
        for way, of in WAYS.items():
            found[way][record.name] = of(apart)
    return found


def count(values: Tensor, frames: dict[str, Tensor]) -> dict[str, float]:
    """AUROC in %, normalised per video and not, of values that are lower in anomalous frames."""
    video, label = frames["video"], frames["label"]
    normalised = anomaly_score(values, torch.zeros_like(values), video, weight=1.0)
    return {
        "normalised": 100 * frame_auroc(normalised, label),
        "unnormalised": 100 * frame_auroc(-values, label),
    }


def in_each_video(values: Tensor, frames: dict[str, Tensor], names: list[str]) -> dict[str, float]:
    """AUROC in % within each video that has frames of both classes."""
    rows = {name: frames["video"] == number for number, name in enumerate(names)}
    return {
        name: 100 * frame_auroc(-values[of_video], frames["label"][of_video])
        for name, of_video in rows.items()
        if len(frames["label"][of_video].unique()) == 2
    }


def of_frames(
    by_video: dict[str, np.ndarray], frames: dict[str, Tensor], names: list[str]
) -> np.ndarray:
    """Look up what is known of each frame of the videos, for the frames that a test scored."""
    places = zip(frames["video"].tolist(), frames["frame"].long().tolist(), strict=True)
    return np.array([by_video[names[video]][frame] for video, frame in places])


def read_run(run: Path, to_empty: Near) -> tuple[dict[str, Tensor], list[str], np.ndarray]:
    """Read a test: its columns, its videos' names, each frame's dB from the empty picture."""
    frames, names = read_scores(run / "scores.csv")
    return frames, names, of_frames(to_empty[PSNR], frames, names)


def ask(run: Path, of_test: Near) -> tuple[dict[str, Any], np.ndarray]:
    """Ask what of a run's PSNR is people.

    Returns:
        What is recorded, and of each frame (3,): dB from the empty picture, PSNR, label.
    """
    frames, names, empty = read_run(run, of_test)
    psnr, label = frames["psnr"].numpy(), frames["label"].numpy()
    normal = label == 0
    slope, offset = np.polyfit(empty[normal], psnr[normal], 1)
    left = torch.from_numpy(psnr - slope * empty - offset)
    found = {
        "explained": 100 * float(np.corrcoef(empty[normal], psnr[normal])[0, 1] ** 2),
        "slope": float(slope),
        "offset": float(offset),
        "psnr": count(frames["psnr"], frames),
        "left": count(left, frames),
        "videos": in_each_video(frames["psnr"], frames, names),
        "videos_left": in_each_video(left, frames, names),
    }
    return found, np.stack([empty, psnr, label], axis=1)


def held_out_share(run: Path) -> float:
    """Look up which share of each training video, at its end, a tested network has not seen."""
    checkpoint = Path(OmegaConf.load(run / ".hydra" / "config.yaml").checkpoint)
    return float(read_checkpoint(checkpoint)[CONFIG_KEY]["data"]["holdout"])


def by_training(
    run: Path, of_test: Near, on_training: Path, of_train: Near
) -> dict[str, dict[str, float]]:
    """Count what is left of a run by the lines of all training frames and of held-out ones."""
    seen, names, seen_empty = read_run(on_training, of_train)
    rows_of: dict[str, Any] = {"left_by_training": slice(None)}
    if share := held_out_share(on_training):
        lengths = {name: len(near_empty) for name, near_empty in of_train[PSNR].items()}
        ends = {name: np.arange(n) / n >= 1 - share for name, n in lengths.items()}
        rows_of["left_by_held_out"] = of_frames(ends, seen, names)
    frames, _, empty = read_run(run, of_test)
    left = {}
    for kind, rows in rows_of.items():
        slope, _offset = np.polyfit(seen_empty[rows], seen["psnr"].numpy()[rows], 1)
        left[kind] = count(frames["psnr"] - slope * torch.from_numpy(empty), frames)
    return left


def all_frames(videos: Sequence[VideoRecord], to_empty: Near) -> dict[str, Tensor]:
    """Number and label every frame of the test videos, as a test does those that it scores."""
    parts = []
    for number, record in enumerate(videos):
        frames = len(to_empty[PSNR][record.name])
        assert record.labels is not None  # Ped2 has all
        label = torch.as_tensor(record.labels(frames)).long()
        parts.append(
            {"video": torch.full((frames,), number), "frame": torch.arange(frames), "label": label}
        )
    return {column: torch.cat([part[column] for part in parts]) for column in parts[0]}


def ask_no_model(videos: Sequence[VideoRecord], to_empty: Near) -> dict[str, Any]:
    """Count each way of nearness by itself, over all frames of the test."""
    frames, names = all_frames(videos, to_empty), [record.name for record in videos]
    counted = {}
    for way, by_video in to_empty.items():
        values = torch.from_numpy(of_frames(by_video, frames, names))
        within = in_each_video(values, frames, names)
        counted[way] = {"psnr": count(values, frames), "videos": within}
    return counted


def print_table(results: dict[str, Any]) -> None:
    """Print a row per run, and per way that asks no network."""
    videos = list(next(iter(results.values()))["videos"])
    lines = "the line leaves / that of all training frames / that of held-out ones"
    table = Table(title=f"Frame AUROC in % of the PSNR alone / what {lines}")
    for column in ("run", "explained", "normalised", "unnormalised", *videos):
        table.add_column(column)
    for name, found in results.items():
        parts = [found[key] for key in COUNTED if key in found]
        by_video = [found[key] for key in ("videos", "videos_left") if key in found]
        cells = [
            " / ".join(f"{part[how]:.1f}" for part in parts)
            for how in ("normalised", "unnormalised")
        ]
        cells += [" / ".join(f"{part[video]:.0f}" for part in by_video) for video in videos]
        table.add_row(name, f"{found['explained']:.0f} %" if "left" in found else "", *cells)
    Console(width=200).print(table)


def print_fullness(of_train: Near, videos: Sequence[VideoRecord], of_test: Near) -> None:
    """Print how near frames are to the empty picture, the less the fuller."""
    frames, names = all_frames(videos, of_test), [record.name for record in videos]
    empty, label = of_frames(of_test[PSNR], frames, names), frames["label"].numpy()
    training = np.concatenate(list(of_train[PSNR].values())).mean()
    normal, anomalous = empty[label == 0].mean(), empty[label == 1].mean()
    print(
        f"PSNR of the empty picture on the mean: training {training:.2f} dB, "
        f"normal test frames {normal:.2f}, anomalous ones {anomalous:.2f}"
    )


def draw(results: dict[str, Any], points: dict[str, np.ndarray]) -> Figure:
    """Draw the frames of what is SHOWN with their lines, and what the lines leave of each run."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.8))
        *scatters, dumbbells = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
        for axes, name in zip(scatters, SHOWN, strict=True):
            _draw_line(axes, results[name], points[name])
            axes.set_title(name.replace("_", " "), loc="left", fontsize=7)
        scatters[0].set_ylabel("PSNR of the network, dB")
        scatters[0].legend(frameon=False, markerscale=3, handletextpad=0, loc="upper left")
        _draw_left(dumbbells, {name: found for name, found in results.items() if "left" in found})
    return figure


def _draw_line(axes: Axes, found: dict[str, Any], frames: np.ndarray) -> None:
    empty, psnr, label = frames.T
    for value, colour, kind in ((1, VERMILION, "anomalous"), (0, BLUE, "normal")):
        of_kind = label == value
        axes.scatter(empty[of_kind], psnr[of_kind], s=1, color=colour, label=kind)
    ends = np.array([empty.min(), empty.max()])
    axes.plot(ends, found["slope"] * ends + found["offset"], color="black", lw=0.8)
    axes.set_xlabel("PSNR of the empty picture, dB")


def _draw_left(axes: Axes, results: dict[str, Any]) -> None:
    for place, found in enumerate(results.values()):
        psnr, left = found["psnr"]["normalised"], found["left"]["normalised"]
        axes.plot([psnr, left], [place, place], color="#cccccc", lw=2, zorder=1)
        axes.plot(psnr, place, "o", ms=4, color=BLUE, label="PSNR alone")
        axes.plot(left, place, "o", ms=4, mfc="none", color=GREY, label="what the line leaves")
    axes.set_yticks(range(len(results)), [name.replace("_", " ") for name in results], fontsize=6)
    axes.invert_yaxis()
    axes.set_xlabel("frame AUROC, %")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles[:2], labels[:2], frameon=False, fontsize=6, loc="lower left", bbox_to_anchor=(0, 1)
    )


def _by_name(pairs: Sequence[str]) -> dict[str, Path]:
    return {name: Path(run) for name, run in (pair.split("=", 1) for pair in pairs)}


def main() -> None:
    """Ask each run, and write table, file and figure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--on-training", nargs="*", default=(), metavar="NAME=RUN")
    arguments = parser.parse_args()
    runs, on_training = _by_name(arguments.runs), _by_name(arguments.on_training)
    benchmark = ped2(arguments.root)
    empty = median_frame(record.source for record in benchmark.train)
    of_train, of_test = near(empty, benchmark.train), near(empty, benchmark.test)
    results, points = {}, {}
    for name, run in runs.items():
        results[name], points[name] = ask(run, of_test)
    for name, run in on_training.items():
        results[name] |= by_training(runs[name], of_test, run, of_train)
    results |= ask_no_model(benchmark.test, of_test)
    if RECORD.exists():
        results = json.loads(RECORD.read_text(encoding="utf-8")) | results
    print_table(results)
    print_fullness(of_train, benchmark.test, of_test)
    RECORD.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    if set(SHOWN) <= set(runs):
        draw(results, points).savefig(HERE / "figures" / "crowd.png")


if __name__ == "__main__":
    main()
