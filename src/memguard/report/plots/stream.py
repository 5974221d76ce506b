"""The timeline of a stream: its score over hours, with the alarm level and the events."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from memguard.report.plots.style import BLUE, GREY, ORANGE, PAGE_WIDTH, PURPLE, STYLE, VERMILION


def stream_timeline(
    name: str,
    seconds: np.ndarray,
    score: np.ndarray,
    level: float,
    events: Sequence[tuple[float, float]],
    *,
    standing: Sequence[tuple[float, float]] = (),
    outages: Sequence[tuple[float, float]] = (),
    conditions: Sequence[tuple[float, float]] = (),
) -> Figure:
    """Draw the score of a whole stream against time, with the alarm level and the events shaded.

    Args:
        name: The name of the stream.
        seconds: (N,), the time since its beginning.
        score: (N,), the scores at these times, in units of normal video.
        level: The score above which there is an alarm.
        events: The start and the end of each event, seconds.
        standing: The same of each thing that stands still, which has a score of its own.
        outages: The same of each outage, in which there is no score.
        conditions: The same of each condition of the camera, in which no anomaly is reported.
    """
    for start, _ in outages:  # the line has a gap
        place = np.searchsorted(seconds, start, side="right")
        seconds, score = np.insert(seconds, place, start), np.insert(score, place, np.nan)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 2.2))
        axes = figure.subplots()
        for start, end in events:  # the edge shows an event of one frame as well
            axes.axvspan(start, end, color=VERMILION, alpha=0.22, linewidth=0.8)
        for start, end in standing:
            axes.axvspan(start, end, color=ORANGE, alpha=0.3, linewidth=0.8)
        for start, end in outages:
            axes.axvspan(start, end, color=GREY, alpha=0.3, linewidth=0.8)
        for start, end in conditions:
            axes.axvspan(start, end, color=PURPLE, alpha=0.3, linewidth=0.8)
        axes.plot(seconds, score, color=BLUE, linewidth=0.8)
        axes.axhline(level, color="black", linewidth=0.8, linestyle="--")
        if len(seconds):
            axes.set_xlim(seconds[0], max(seconds[-1], seconds[0] + 1))
        top = max(float(np.nanmax(score, initial=0)), level)
        axes.set_ylim(min(float(np.nanmin(score, initial=0)), 0) - 0.02 * top, 1.08 * top)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))
        axes.set(xlabel="time, h:mm:ss", ylabel="score (1: rare in normal video)")
        handles: list[Line2D | Patch] = [
            Line2D([], [], color=BLUE, linewidth=0.8, label="score"),
            Line2D([], [], color="black", linewidth=0.8, linestyle="--", label="alarm level"),
        ]
        if events:
            handles.append(Patch(color=VERMILION, alpha=0.22, linewidth=0, label="event"))
        if standing:
            handles.append(Patch(color=ORANGE, alpha=0.3, linewidth=0, label="standing"))
        if outages:
            handles.append(Patch(color=GREY, alpha=0.3, linewidth=0, label="outage"))
        if conditions:
            handles.append(Patch(color=PURPLE, alpha=0.3, linewidth=0, label="condition"))
        axes.set_title(name, loc="left")
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles), frameon=False)
    return figure


def clock(seconds: float) -> str:
    """Format a duration as hours, minutes and seconds.

    Example:
        >>> clock(3725.4)
        '1:02:05'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
