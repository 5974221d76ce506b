"""Figures: arrays in, matplotlib figures out.

Colours are those of Okabe and Ito, which people with any kind of colour vision tell apart; what
matters differs in lightness or form as well, so that it survives print in grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.rcsetup import cycler
from matplotlib.ticker import FuncFormatter, MaxNLocator
from torch import Tensor

from memguard.report.curves import Curve

BLUE, VERMILION, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
PURPLE = "#CC79A7"
PAGE_WIDTH = 7.2  # inches, the text width of a two-column paper
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.linewidth": 0.6,
    "axes.prop_cycle": cycler(color=[BLUE, VERMILION, GREEN, GREY]),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
}


@dataclass(frozen=True)
class VideoScores:
    """The scores of one video.

    Attributes:
        name: The video's name.
        frame: (N,), 0-based frame numbers.
        score: (N,), anomaly scores.
        label: (N,), 1 anomalous, 0 normal, −1 unknown.
        written: (N,), whether the guard wrote the frame into the memory.
    """

    name: str
    frame: np.ndarray
    score: np.ndarray
    label: np.ndarray
    written: np.ndarray


@dataclass(frozen=True)
class PaintedFrame:
    """A frame, what the model made of it, and its place in the test.

    Attributes:
        title: What to write beside it.
        target: uint8 (C, H, W), the frame itself.
        output: uint8 (C, H, W), its prediction or reconstruction.
        box: Left, top, right and bottom of the patch with the largest error, in pixels; right and
            bottom are past the end. None draws no box.
    """

    title: str
    target: np.ndarray
    output: np.ndarray
    box: tuple[int, int, int, int] | None = None


@dataclass(frozen=True)
class ShownFrame:
    """A frame to look at.

    Attributes:
        title: What to write above it.
        picture: uint8 (C, H, W).
        marked: Whether it stands out.
    """

    title: str
    picture: np.ndarray
    marked: bool


@dataclass(frozen=True)
class MemoryHistory:
    """The items of a memory over E epochs.

    Attributes:
        first_epoch: The number of the first of them, from 1.
        share: (E, M), each item's share of the queries.
        drift: (E, M), 1 − cosine of each item with itself an epoch before.
        cosine: (M, M), between the items at the end.
    """

    first_epoch: int
    share: np.ndarray
    drift: np.ndarray
    cosine: np.ndarray


def levels(signal: Tensor) -> np.ndarray:
    """Values in [−1, 1] to levels 0-255, uint8 of the same shape."""
    scaled = ((signal.float() + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).cpu().numpy()


def score_timelines(videos: Sequence[VideoScores], top: float = 1.0) -> Figure:
    """Draw a chart per video: the score over its frames, anomalous stretches shaded.

    A tick below the line marks each frame that the guard wrote into the memory.

    Args:
        videos: At least one.
        top: The score at the upper end of each chart.
    """
    columns = min(3, len(videos))
    rows = -(-len(videos) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 1.15 * rows + 0.5))
        grid = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for axes, video in zip(grid.flat, videos, strict=False):
            _draw_timeline(axes, video, top)
        for axes in grid.flat[len(videos) :]:
            axes.set_visible(False)
        figure.supxlabel("frame", fontsize=8)
        figure.supylabel("anomaly score", fontsize=8)
        figure.legend(
            handles=_timeline_legend(videos), loc="outside upper center", ncols=3, frameon=False
        )
    return figure


def _draw_timeline(axes: Axes, video: VideoScores, top: float) -> None:
    for start, stop in stretches(video.label == 1):
        edges = video.frame[start] - 0.5, video.frame[stop - 1] + 0.5
        axes.axvspan(*edges, color=VERMILION, alpha=0.22, linewidth=0)
    axes.plot(video.frame, video.score, color=BLUE, linewidth=1)
    written = video.frame[video.written.astype(bool)]
    axes.vlines(written, -0.12 * top, -0.04 * top, color=GREEN, linewidth=0.5)
    axes.set_title(video.name, loc="left", pad=2)
    axes.set_xlim(video.frame[0], max(video.frame[-1], video.frame[0] + 1))
    axes.set_ylim(-0.14 * top, 1.04 * top)
    axes.set_yticks([0, top / 2, top], ["0", f"{top / 2:.2g}", f"{top:.2g}"])


def _timeline_legend(videos: Sequence[VideoScores]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [Line2D([], [], color=BLUE, label="score")]
    if any((video.label == 1).any() for video in videos):
        handles.append(Patch(color=VERMILION, alpha=0.22, linewidth=0, label="anomalous"))
    if any(video.written.any() for video in videos):
        tick = Line2D(
            [], [], color=GREEN, marker="|", linestyle="", label="written into the memory"
        )
        handles.append(tick)
    return handles


def watched_timeline(
    name: str,
    seconds: np.ndarray,
    score: np.ndarray,
    level: float,
    events: Sequence[tuple[float, float]],
) -> Figure:
    """Draw the score of a whole video against time, with the alarm level and the events shaded.

    Args:
        name: Of the video.
        seconds: (N,), since its beginning.
        score: (N,), in units of normal video.
        level: From where on there is an alarm.
        events: Start and end of each, in seconds.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.2))
        axes = figure.subplots()
        for start, end in events:  # the edge shows an event of one frame as well
            axes.axvspan(start, end, color=VERMILION, alpha=0.22, linewidth=0.8)
        axes.plot(seconds, score, color=BLUE, linewidth=0.8)
        axes.axhline(level, color="black", linewidth=0.8, linestyle="--")
        if len(seconds):
            axes.set_xlim(seconds[0], max(seconds[-1], seconds[0] + 1))
        top = max(float(score.max(initial=0)), level)
        axes.set_ylim(min(float(score.min(initial=0)), 0) - 0.02 * top, 1.08 * top)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))
        axes.set(xlabel="time, h:mm:ss", ylabel="score (1: rare in normal video)")
        handles: list[Line2D | Patch] = [
            Line2D([], [], color=BLUE, linewidth=0.8, label="score"),
            Line2D([], [], color="black", linewidth=0.8, linestyle="--", label="alarm level"),
            Patch(color=VERMILION, alpha=0.22, linewidth=0, label="event"),
        ]
        axes.set_title(name, loc="left")
        figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False)
    return figure


def clock(seconds: float) -> str:
    """Write a time as people read it.

    Example:
        >>> clock(3725.4)
        '1:02:05'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def stretches(mask: np.ndarray) -> list[tuple[int, int]]:
    """Give start and stop (one past the end) of each run of true values.

    Example:
        >>> stretches(np.array([True, True, False, True]))
        [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def painted_frames(frames: Sequence[PaintedFrame], *, predicted: bool) -> Figure:
    """Draw a row per frame: the target, its prediction or reconstruction, and the error.

    The error maps share one scale, so that rows compare.

    Args:
        frames: At least one.
        predicted: Whether frames are predicted from those before them, and not reconstructed.
    """
    errors = [error_map(frame.target, frame.output) for frame in frames]
    largest = max(max(float(error.max()) for error in errors), 1e-6)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.35 * len(frames) + 0.2))
        grid = figure.subplots(len(frames), 3, squeeze=False)
        for row, frame, error in zip(grid, frames, errors, strict=True):
            row[0].imshow(_picture(frame.target), cmap="gray", vmin=0, vmax=255)
            row[1].imshow(_picture(frame.output), cmap="gray", vmin=0, vmax=255)
            map_ = row[2].imshow(error, cmap="inferno", vmin=0, vmax=largest)
            row[0].set_ylabel(frame.title)
            for axes in row:
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
                _draw_box(axes, frame.box)
        for axes, title in zip(grid[0], _column_titles(predicted), strict=True):
            axes.set_title(title)
        bar = figure.colorbar(map_, ax=grid[:, 2], shrink=0.8, aspect=30, pad=0.03)
        bar.set_label("absolute error (1: black against white)")
        if any(frame.box for frame in frames):
            handle = Patch(facecolor="none", edgecolor=VERMILION, label="patch with largest error")
            figure.legend(handles=[handle], loc="outside lower center", frameon=False)
    return figure


def _column_titles(predicted: bool) -> tuple[str, str, str]:
    """What the columns of :func:`painted_frames` show."""
    if predicted:
        return "target: frame t", "prediction of frame t", "absolute error"
    return "input and target: frame t", "reconstruction of frame t", "absolute error"


def _draw_box(axes: Axes, box: tuple[int, int, int, int] | None) -> None:
    """Draw a box around pixels, on light ground and dark."""
    if box is None:
        return
    left, top, right, bottom = box
    place = (left - 0.5, top - 0.5), right - left, bottom - top  # a pixel's centre is its number
    axes.add_patch(Rectangle(*place, fill=False, edgecolor="white", linewidth=2.4))
    axes.add_patch(Rectangle(*place, fill=False, edgecolor=VERMILION, linewidth=1.2))


def error_map(target: np.ndarray, output: np.ndarray) -> np.ndarray:
    """Give the absolute error of each pixel, of values in [0, 1]; squared, little would show.

    Args:
        target: uint8 (C, H, W), the frame itself.
        output: uint8 (C, H, W), its prediction or reconstruction.

    Returns:
        (H, W).
    """
    difference = (output.astype(np.float32) - target.astype(np.float32)) / 255
    return np.abs(difference).mean(axis=0)


def _picture(image: np.ndarray) -> np.ndarray:
    return image[0] if len(image) == 1 else image.transpose(1, 2, 0)


def contact_sheet(frames: Sequence[ShownFrame], mark: str) -> Figure:
    """Draw frames side by side, those that are marked in a frame of their own.

    Args:
        frames: At least one.
        mark: What the mark means.
    """
    columns = min(6, len(frames))
    rows = -(-len(frames) // columns)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 1.55 * rows + 0.3))
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        for axes, frame in zip(grid.flat, frames, strict=False):
            axes.imshow(_picture(frame.picture), cmap="gray", vmin=0, vmax=255)
            axes.set_title(frame.title, fontsize=6, pad=3)
            if frame.marked:
                axes.spines[:].set(visible=True, color=VERMILION, linewidth=2.5)
        if any(frame.marked for frame in frames):
            handle = Patch(facecolor="none", edgecolor=VERMILION, linewidth=2, label=mark)
            figure.legend(handles=[handle], loc="outside lower center", frameon=False)
    return figure


def roc_and_precision_recall(curves: Sequence[Curve], anomalous: float) -> Figure:
    """Draw the ROC and precision-recall curves of scores, the first of which is the test's own.

    Args:
        curves: Up to four.
        anomalous: The share of anomalous frames: the precision of flagging at random.
    """
    looks: list[dict[str, Any]] = [
        {"color": BLUE, "linewidth": 1.6},
        {"color": VERMILION, "linewidth": 1, "linestyle": "--"},
        {"color": GREEN, "linewidth": 1.2, "linestyle": ":"},
        {"color": PURPLE, "linewidth": 1, "linestyle": "-."},
    ]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 3.3))
        roc, trade = figure.subplots(1, 2)
        for curve, look in zip(curves, looks[: len(curves)], strict=True):
            area, precision = f"{curve.area:.3f}", f"{curve.average_precision:.3f}"
            roc.plot(curve.false_rate, curve.true_rate, label=f"{curve.name}, {area}", **look)
            trade.plot(curve.recall, curve.precision, label=f"{curve.name}, {precision}", **look)
        chance: dict[str, Any] = {"color": "0.6", "linewidth": 0.6}
        roc.plot([0, 1], [0, 1], **chance)
        trade.axhline(anomalous, **chance)
        roc.set(xlabel="share of normal frames flagged", ylabel="share of anomalous frames flagged")
        trade.set(
            xlabel="recall: share of anomalous frames flagged",
            ylabel="precision: anomalous share of flagged",
        )
        for axes in (roc, trade):
            axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
        roc.legend(title="score, AUROC", loc="lower right", frameon=False)
        trade.legend(title="score, average precision", loc="lower left", frameon=False)
        trade.text(0.99, anomalous + 0.01, "flagged at random", color="0.4", fontsize=7, ha="right")
    return figure


def memory_history(history: MemoryHistory) -> Figure:
    """Draw how a memory's items are used, how far they moved, and how alike they are."""
    size = history.share.shape[1]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 5.6))
        (use, now), (drift, alike) = figure.subplots(2, 2)
        _draw_over_epochs(figure, use, history.share, history.first_epoch, "share of queries")
        _draw_over_epochs(figure, drift, history.drift, history.first_epoch, "drift, 1 − cosine")
        _draw_use(now, history.share[-1])
        map_ = alike.imshow(
            history.cosine, cmap="cividis", vmin=min(0, history.cosine.min()), vmax=1
        )
        figure.colorbar(map_, ax=alike, label="cosine between items")
        alike.set(xlabel="item", ylabel="item")
        if size <= 12:
            _write_values(alike, history.cosine)
            for axis in (alike.xaxis, alike.yaxis, now.xaxis, use.yaxis, drift.yaxis):
                axis.set_ticks(range(size))
    return figure


def _draw_over_epochs(
    figure: Figure, axes: Axes, values: np.ndarray, first_epoch: int, label: str
) -> None:
    """Draw a row per item and a column per epoch, from (E, M)."""
    epochs, size = values.shape
    extent = (first_epoch - 0.5, first_epoch + epochs - 0.5, size - 0.5, -0.5)
    map_ = axes.imshow(
        values.T, cmap="cividis", vmin=0, aspect="auto", extent=extent, interpolation="nearest"
    )
    figure.colorbar(map_, ax=axes, label=label)
    axes.set(xlabel="epoch", ylabel="item")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_use(axes: Axes, share: np.ndarray) -> None:
    """Draw the last epoch's shares as bars, with a cross where nobody comes."""
    axes.bar(range(len(share)), share, color=BLUE)
    dead = np.flatnonzero(share == 0)
    for item in dead:  # drawn one by one, as a line without any point would upset the layout
        axes.plot(item, 0, "x", color=VERMILION, clip_on=False)
    axes.axhline(1 / len(share), color="0.4", linewidth=0.6, linestyle="--")
    axes.set(xlabel="item", ylabel="share of queries, last epoch")
    axes.set_title(f"{len(dead)} of {len(share)} dead; dashed: all alike", loc="left")


def _write_values(axes: Axes, matrix: np.ndarray) -> None:
    """Write each value into its cell, light on dark and dark on light."""
    middle = (min(0, matrix.min()) + 1) / 2
    for (row, column), value in np.ndenumerate(matrix):
        colour = "white" if value < middle else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=5, color=colour)
