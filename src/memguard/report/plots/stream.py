"""The timeline of a stream: its score over hours, with the alarm level and the events."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from memguard.report.plots.style import BLUE, PAGE_WIDTH, STYLE, VERMILION


def stream_timeline(
    name: str,
    seconds: np.ndarray,
    score: np.ndarray,
    level: float,
    events: Sequence[tuple[float, float]],
) -> Figure:
    """Draw the score of a whole stream against time, with the alarm level and the events shaded.

    Args:
        name: The name of the stream.
        seconds: (N,), the time since its beginning.
        score: (N,), the scores at these times, in units of normal video.
        level: The score above which there is an alarm.
        events: The start and the end of each event, seconds.
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
        ]
        if events:
            handles.append(Patch(color=VERMILION, alpha=0.22, linewidth=0, label="event"))
        axes.set_title(name, loc="left")
        figure.legend(handles=handles, loc="outside upper right", ncols=3, frameon=False)
    return figure


def clock(seconds: float) -> str:
    """Format a duration as hours, minutes and seconds.

    Example:
        >>> clock(3725.4)
        '1:02:05'
    """
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
