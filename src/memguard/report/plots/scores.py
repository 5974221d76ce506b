"""Score charts: the anomaly score of each video over its frames."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from memguard.report.plots.style import BLUE, GREEN, PAGE_WIDTH, STYLE, VERMILION, stretches
from memguard.report.tested import VideoScores

# A line needs no more corners than a wide screen has pixels.
LINE_POINTS = 1500


def score_timelines(videos: Sequence[VideoScores], top: float = 1.0) -> Figure:
    """Draw a chart per video: the score over its frames, anomalous stretches shaded.

    A tick below the line marks each memory update.

    Args:
        videos: The videos, at least one.
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
        figure.legend(handles=_legend(videos), loc="outside upper center", ncols=3, frameon=False)
    return figure


def _draw_timeline(axes: Axes, video: VideoScores, top: float) -> None:
    for start, stop in stretches(video.label == 1):
        edges = video.frame[start] - 0.5, video.frame[stop - 1] + 0.5
        axes.axvspan(*edges, color=VERMILION, alpha=0.22, linewidth=0)
    axes.plot(video.frame, video.score, color=BLUE, linewidth=1)
    written = video.frame[video.written.astype(bool)]
    axes.vlines(written, -0.12 * top, -0.04 * top, color=GREEN, linewidth=0.5)
    axes.set_title(f"video {video.name}", loc="left", pad=2)
    axes.set_xlim(video.frame[0], max(video.frame[-1], video.frame[0] + 1))
    axes.set_ylim(-0.14 * top, 1.04 * top)
    axes.set_yticks([0, top / 2, top], ["0", f"{top / 2:.2g}", f"{top:.2g}"])


def _legend(videos: Sequence[VideoScores]) -> list[Line2D | Patch]:
    handles: list[Line2D | Patch] = [Line2D([], [], color=BLUE, label="score")]
    if any((video.label == 1).any() for video in videos):
        handles.append(Patch(color=VERMILION, alpha=0.22, linewidth=0, label="anomalous"))
    if any(video.written.any() for video in videos):
        tick = Line2D([], [], color=GREEN, marker="|", linestyle="", label="memory update")
        handles.append(tick)
    return handles


def score_chart(video: VideoScores, top: float) -> dict[str, Any]:
    """Describe the chart of a video as the page draws it, in SVG.

    Args:
        video: The video.
        top: The score at the upper end of the chart.

    Returns:
        ``first`` and ``last`` frame, the ``line``'s points (frames across, 0 to 100 from the top
        down), and the runs of anomalous frames, ``truth``, and of memory ``updates``: the first
        frame of each and its length.
    """
    frame = video.frame.astype(int)
    line = zip(*thinned(frame, 100 * (1 - video.score / top), LINE_POINTS), strict=True)
    return {
        "first": int(frame[0]),
        "last": int(frame[-1]),
        "line": " ".join(f"{x},{y:.1f}" for x, y in line),
        "truth": _runs(video.label == 1, int(frame[0])),
        "updates": _runs(video.written.astype(bool), int(frame[0])),
    }


def _runs(mask: np.ndarray, first: int) -> list[tuple[int, int]]:
    return [(first + start, stop - start) for start, stop in stretches(mask)]


def thinned(x: np.ndarray, y: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Leave out points of a line that are too dense to see, but no peak and no dip.

    Example:
        >>> thinned(np.arange(8), np.array([0, 0, 9, 0, 0, 0, 0, -5]), 4)
        (array([0, 2, 4, 7]), array([ 0,  9,  0, -5]))
    """
    if len(x) <= points:
        return x, y
    parts = np.array_split(np.arange(len(x)), max(points // 2, 1))
    chosen = sorted({int(part[pick(y[part])]) for part in parts for pick in (np.argmin, np.argmax)})
    return x[chosen], y[chosen]
