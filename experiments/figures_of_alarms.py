"""Draw the figure that compares false alarms with their promise."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from recorded import runs
from scipy.stats import chi2
from style import BLUE, VERMILION, WIDTH

CAMERAS = {"upcam": "upCam, the next day", "ped1": "Ped1", "ped2": "Ped2"}
KINDS = {
    "trained": ("alarm of the training", BLUE, "o"),
    "calibrated": ("calibrated on the other half", VERMILION, "s"),
}
HALF, ASIDE = 0.4, 0.16  # of a promise's box, and of a kind beside its middle
CONFIDENCE = 0.9
NONE_SEEN = 0.4  # where a logarithmic axis shows 0


def poisson_interval(seen: float) -> tuple[float, float]:
    """Return the interval of the expected count, exact (Garwood, 1936).

    Example:
        >>> low, high = poisson_interval(13)
        >>> round(low, 2), round(high, 2)
        (7.69, 20.67)
    """
    outside = (1 - CONFIDENCE) / 2
    low = chi2.ppf(outside, 2 * seen) / 2 if seen else 0.0
    return float(low), float(chi2.ppf(1 - outside, 2 * seen + 2) / 2)


def both_halves(camera: str, kind: str) -> dict[float, dict[str, float]]:
    """Add up the counts of both halves, by the promised rate."""
    both: dict[float, dict[str, float]] = {}
    for name, row in runs("false_alarms").items():
        if name.startswith(f"{camera}_{kind}_"):
            total = both.setdefault(row["alarms/promised_per_hour"], {})
            for key in ("hours", "seen", "seen_at_low", "seen_at_high"):
                total[key] = total.get(key, 0) + row[f"alarms/{key}"]
    return dict(sorted(both.items()))


def false_alarms() -> Figure:
    """Draw the false alarms that are seen beside the promised ones."""
    figure = Figure(figsize=(WIDTH, 3.2))
    figure.suptitle("mnad_tiny, seed 0: false alarms in normal video that the alarm does not know")
    grid = figure.subplots(1, 3, width_ratios=[2, 1, 1])
    for axes, (camera, title) in zip(grid, CAMERAS.items(), strict=True):
        by_kind = {kind: both_halves(camera, kind) for kind in KINDS}
        rates = by_kind["trained"]
        for place, (rate, total) in enumerate(rates.items()):
            draw_promise(axes, place, rate * total["hours"])
        for kind, aside in zip(KINDS, (-ASIDE, ASIDE), strict=True):
            draw_seen(axes, np.arange(len(rates)) + aside, kind, list(by_kind[kind].values()))
        hours = next(iter(rates.values()))["hours"]
        length = f"{hours:.0f} hours" if hours > 1 else f"{60 * hours:.1f} minutes"
        axes.set(title=f"{title}, {length}", xlabel="promised per hour")
        axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axes.set(yscale="log", ylim=(NONE_SEEN * 0.8, None))
        ticks = [1, 2, 5, 10, 20, 50, 100, 200]
        top = axes.get_ylim()[1]
        shown = [tick for tick in ticks if tick < top]
        axes.set_yticks([NONE_SEEN, *shown], ["0", *map(str, shown)])
        axes.minorticks_off()
    grid[0].set_ylabel("false alarms")
    figure.legend(handles=handles(), loc="outside lower center", ncols=3)
    return figure


def draw_promise(axes: Axes, place: float, promised: float) -> None:
    """Draw a promised count, and half to twice of it."""
    ends = place - HALF, place + HALF
    axes.fill_between(ends, promised / 2, promised * 2, color="0.9", lw=0)
    axes.hlines(promised, *ends, color="black", lw=1)


def draw_seen(
    axes: Axes, places: np.ndarray, kind: str, totals: Sequence[dict[str, float]]
) -> None:
    """Draw seen counts, with the interval of each and those at the ends of the level's interval."""
    _, colour, marker = KINDS[kind]
    for place, total in zip(places, totals, strict=True):
        ends = total["seen_at_high"], total["seen_at_low"]
        axes.vlines(place, *np.maximum(ends, NONE_SEEN), color=colour, lw=6, alpha=0.3)
        ends = poisson_interval(total["seen"])
        axes.vlines(place, *np.maximum(ends, NONE_SEEN), color=colour, lw=1)
        axes.plot(place, max(total["seen"], NONE_SEEN), marker, ms=4, color=colour)


def handles() -> list[Line2D | Patch]:
    """Explain the marks."""
    return [
        *(Line2D([], [], color=c, marker=m, lw=0, label=label) for label, c, m in KINDS.values()),
        Line2D([], [], color="0.4", lw=1, label="90 % Poisson interval"),
        Line2D([], [], color="black", lw=1, label="promised"),
        Patch(color="0.9", label="half to twice of it"),
        Patch(color="0.4", alpha=0.3, label="at the ends of the level's 90 % interval"),
    ]
