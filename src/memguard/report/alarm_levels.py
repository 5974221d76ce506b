"""The levels of an alarm, and how far its normal video supports them."""

import logging
from collections.abc import Sequence
from math import ceil, floor, isfinite, isnan, log10

from rich.table import Table

from memguard.detection.alarm_scale import AlarmScale

RATES = (0.5, 1, 4, 12)  # false alarms an hour

log = logging.getLogger(__name__)


def alarm_levels(title: str, alarm: AlarmScale, fps: float) -> Table:
    """Tabulate the level of a few rates of false alarms.

    Args:
        title: The title of the table.
        alarm: Calibrated.
        fps: Frames per second of its normal video.
    """
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = supported_rates(alarm, fps)
    for column in ("false alarms an hour", "level", "90 % interval", "supported"):
        table.add_column(column, justify="right")
    for rate in RATES:
        supported = "yes" if rate >= alarm.rarest_rate(fps) else "no"
        level = alarm.level_with_interval(rate, fps)
        table.add_row(f"{rate:g}", f"{level.score:.2f}", interval(alarm, rate, fps), supported)
    return table


def supported_rates(alarm: AlarmScale, fps: float) -> str:
    """Say which rates of false alarms the normal video of an alarm supports.

    Args:
        alarm: Calibrated.
        fps: Frames per second of its normal video.
    """
    frames, peaks = alarm.sample_counts
    rarest = alarm.rarest_rate(fps)
    rates = (
        f"{_rounded_up(rarest):g} false alarms an hour or more" if isfinite(rarest) else "no rate"
    )
    return (
        f"{alarm.hours(fps):.2g} hours of normal video ({frames} frames, {peaks} peaks) "
        f"support {rates}."
    )


def _rounded_up(rate: float) -> float:
    """Round a rate up to two digits: one that is named as supported is no rarer."""
    unit = 10.0 ** (floor(log10(rate)) - 1)
    return ceil(round(rate / unit, 6)) * unit  # 5, which may be 5.000000001, stays 5


def interval(alarm: AlarmScale, per_hour: float, fps: float) -> str:
    """Write the confidence interval of a level; a dash for a checkpoint without intervals."""
    _, low, high = alarm.level_with_interval(per_hour, fps)
    return "–" if isnan(low) else f"{low:.2f} to {high:.2f}"


def warn_of_few_hours(
    anomalies: AlarmScale,
    standing: AlarmScale | None,
    per_hour: float,
    fps: float,
    cameras: Sequence[str] = (),
) -> None:
    """Warn of a promised rate that the normal video of an alarm does not support.

    Args:
        anomalies: The calibrated alarm of anomalies.
        standing: That of things that stand still, if they have one; both share the promised rate.
        per_hour: The promised false alarms.
        fps: Frames per second.
        cameras: The names of the cameras that promise it, if they have names.
    """
    each = per_hour / 2 if standing else per_hour
    whose = f"{', '.join(cameras)}: " if cameras else ""
    for name, alarm in (("anomalies", anomalies), ("things that stand still", standing)):
        if alarm and each < alarm.rarest_rate(fps):
            share = f", the share of {name} in {per_hour:g} an hour," if standing else ""
            log.warning(
                "%s%s %g an hour%s are extrapolated to the level %.2f (90 %% interval %s): measure "
                "more normal video with python -m memguard.calibrate, or judge by the scores.",
                whose, supported_rates(alarm, fps), each, share, alarm.level(each, fps),
                interval(alarm, each, fps),
            )  # fmt: skip
