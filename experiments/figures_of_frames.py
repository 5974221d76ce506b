"""Draw the figures that show the scores of single frames."""

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from recorded import Scores, runs, scores
from style import BLUE, GREY, PERCENT, SHADE, VERMILION, WIDTH, label_rows, shade
from torchmetrics.functional.classification import binary_auroc


def shared_range() -> Figure:
    """Draw the two scores with distance against the PSNR, and the distance of each video."""
    found = runs("reproduction", "recon", "memory", "settings", "protocol", "shared_range")
    rows = [run for run in found.values() if "distance/smallest_range" in run]
    points = sorted(
        tuple(100 * (run[key] - run["test/auroc_psnr"])
              for key in ("test/auroc", "test/auroc_shared_range"))
        for run in rows
    )  # fmt: skip
    figure = Figure(figsize=(WIDTH, 3.1))
    left, *panels = figure.subplots(1, 3, width_ratios=(1.5, 1, 1))
    kinds = {"published: each video's own range": (VERMILION, "o"), "shared_range": (BLUE, "s")}
    for column, (kind, (colour, marker)) in enumerate(kinds.items()):
        values = [point[column] for point in points]
        left.plot(values, marker, ms=3.5, mfc="none", color=colour, label=kind)
    left.axhline(0, color=GREY, lw=0.8)
    left.set(title=f"{len(points)} trainings on Ped2 and on the street",
             xlabel="training, ordered by its published score",
             ylabel="frame AUROC, points\nabove the PSNR alone")  # fmt: skip
    panels[1].sharey(panels[0])
    tests = {"pred_full_size_seed0": "published size", "pred_small_seed0": "small network"}
    for axes, (name, title) in zip(panels, tests.items(), strict=True):
        draw_ranges(axes, scores(f"weights/{name}"))
        axes.set(title=f"Ped2, {title}, seed 0", xlabel="test video")
    panels[0].set_ylabel("distance to the nearest item,\nlowest to highest (no unit)")
    marks = left.get_legend_handles_labels()[0]
    figure.legend(handles=[*marks, *range_marks()], loc="outside lower center", ncols=3,
                  handlelength=1.2, columnspacing=1)  # fmt: skip
    return figure


def range_marks() -> list[Line2D]:
    """Explain the colours of the bars of distances."""
    kinds = {BLUE: "higher in anomalous frames", VERMILION: "lower in them",
             "0.7": "frames of one class"}  # fmt: skip
    return [Line2D([], [], color=colour, lw=4, label=kind) for colour, kind in kinds.items()]


def draw_ranges(axes: Axes, frames: Scores) -> None:
    """Draw the range of each video's distance, coloured by the class where it is higher."""
    for number, video in enumerate(dict.fromkeys(frames["video"]), start=1):
        of_video = frames["video"] == video
        distance, label = frames["distance"][of_video], frames["label"][of_video]
        colour = "0.7"
        if len(set(label)) == 2:
            area = binary_auroc(torch.from_numpy(distance), torch.from_numpy(label).long())
            colour = BLUE if area >= 0.5 else VERMILION
        axes.plot([number] * 2, [distance.min(), distance.max()], color=colour, lw=4)
    axes.set(yscale="log", xticks=(1, 4, 8, 12))


def recon() -> Figure:
    """Draw the PSNR of two tests against how full a frame is, and the AUROC without that."""
    figure = Figure(figsize=(WIDTH, 3.2))
    figure.suptitle("Ped2: how much of the PSNR follows how full the picture is")
    *panels, right = figure.subplots(1, 3, width_ratios=(1, 1, 1))
    tests = {
        "baseline/frame_difference": "frame difference, no model",
        "weights/pred_full_size_seed0": "pred, published size, seed 0",
    }
    empty = scores("recon/empty_frame_psnr")
    for axes, (name, title) in zip(panels, tests.items(), strict=True):
        draw_fullness(axes, empty, scores(name))
        axes.set_title(title)
    panels[0].set_ylabel("PSNR of a test frame, dB")
    draw_left(right)
    marks = [*panels[0].get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    figure.legend(handles=marks, loc="outside lower center", ncols=3, markerscale=1.2)
    return figure


def draw_fullness(axes: Axes, empty: Scores, frames: Scores) -> None:
    """Draw a point per test frame, and the line through the normal ones."""
    near = dict(zip(zip(empty["video"], empty["frame"], strict=True), empty["psnr"], strict=True))
    keys = zip(frames["video"], frames["frame"], strict=True)
    full, psnr = np.array([near.get(key, np.nan) for key in keys]), frames["psnr"]
    known = ~np.isnan(full)
    normal = known & (frames["label"] == 0)
    for of_kind, colour, kind in (
        (known & ~normal, VERMILION, "anomalous frame"),
        (normal, BLUE, "normal frame"),
    ):
        axes.plot(full[of_kind], psnr[of_kind], "o", ms=1.2, color=colour, label=kind)
    line = np.polynomial.Polynomial.fit(full[normal], psnr[normal], 1)
    axes.plot(*line.linspace(2), "k", lw=1, label="line through normal frames")
    axes.set_xlabel("PSNR of the empty scene, dB\n(full ← → empty)")


def draw_left(axes: Axes) -> None:
    """Draw the AUROC of the PSNR with and without the part that the empty scene explains."""
    tests = {
        "recon_full_size_after_40_epochs_seed0": "recon, published size",
        "recon_batch_4_any_window_60_epochs_seed0": "recon, small, seed 0",
        "recon_batch_4_in_bf16_seed1": "recon, small, seed 1",
        "recon_batch_4_in_bf16_seed2": "recon, small, seed 2",
        "full_size_seed0": "pred, published, seed 0",
        "pred_full_size_seed1": "pred, published, seed 1",
        "pred_full_size_seed2": "pred, published, seed 2",
        "small_seed0": "pred, small, seed 0",
        "frame_difference": "frame difference",
    }
    found = runs("protocol") | runs("recon", "reproduction")
    keys = ("test/auroc_psnr", "fullness/auroc_psnr_left", "fullness/explained")
    values = [[100 * found[name][key] for key in keys] for name in tests]
    before, after, explained = zip(*values, strict=True)
    places = range(len(tests))
    axes.hlines(places, after, before, color="0.8", lw=2, zorder=1)
    axes.plot(before, places, "s", ms=4, color=GREY, label="PSNR alone")
    axes.plot(after, places, "s", ms=4, mfc="white", color=GREY, label="PSNR less the line")
    labels = zip(tests.values(), explained, strict=True)
    label_rows(axes, [f"{label}: {share:.0f} %" for label, share in labels])
    axes.set_xlabel(PERCENT)
    axes.set_title("variance explained by the line, and AUROC", loc="right")


def timeline() -> Figure:
    """Draw the published score of every test video over time."""
    frames = scores("weights/pred_full_size_seed0")
    figure = Figure(figsize=(WIDTH, 4.2))
    figure.suptitle(
        "Ped2, prediction at the published size, seed 0: published score of each test video"
    )
    videos = list(dict.fromkeys(frames["video"]))
    grid = figure.subplots(4, 3, sharey=True)
    for axes, video in zip(grid.flat, videos, strict=True):
        of_video = frames["video"] == video
        frame, label = frames["frame"][of_video], frames["label"][of_video]
        shade(axes, frame, label)
        axes.plot(frame, frames["score"][of_video], color=BLUE, lw=0.8)
        axes.set_title(f"video {video}", loc="left", pad=2)
        axes.set(ylim=(0, 1), yticks=(0, 1), xticks=range(0, frame.max().astype(int) + 1, 50))
    for axes in grid[-1]:
        axes.set_xlabel("frame")
    figure.supylabel("anomaly score, 0 to 1", fontsize=8)
    handles = [Line2D([], [], color=BLUE, lw=0.8), Patch(color=SHADE)]
    figure.legend(
        handles, ["score", "frames labelled anomalous"], loc="outside lower center", ncols=2
    )
    return figure


def video_06() -> Figure:
    """Draw both terms of the score in the video that costs the published size most."""
    frames = scores("weights/pred_full_size_seed0")
    of_video = frames["video"] == "06"
    frame, label = frames["frame"][of_video], frames["label"][of_video]
    terms = {"1 − PSNR": -frames["psnr"][of_video], "distance": frames["distance"][of_video]}
    figure = Figure(figsize=(WIDTH, 2.6))
    figure.suptitle("Ped2, test video 06, prediction at the published size, seed 0")
    for axes, (term, values) in zip(figure.subplots(2, 1, sharex=True), terms.items(), strict=True):
        shade(axes, frame, label)
        normalised = (values - values.min()) / np.ptp(values)
        axes.plot(frame, normalised, color=BLUE, lw=1)
        axes.set(ylim=(0, 1.02), yticks=(0, 1), ylabel=f"{term},\nmin–max")
    last = frame[label == 1].max()
    axes.annotate("a man walks where nobody\nwalked in training", ((last + frame.max()) / 2, 0.9),
                  (last - 62, 0.62), arrowprops={"arrowstyle": "->", "lw": 0.8})  # fmt: skip
    axes.set_xlabel("frame")
    figure.legend([Patch(color=SHADE)], ["frames labelled anomalous"], loc="outside lower center")
    return figure
