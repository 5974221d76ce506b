"""Reports to notify of."""

from typing import Any

from memguard.live.reports import Report


def report(number: int = 1, **changes: Any) -> Report:
    given = {"kind": "anomaly", "state": "begin", "notified": True} | changes
    return Report(
        id=f"door-{number}", camera="front door", start_frame=number, start_seconds=0.0,
        end_frame=number, end_seconds=0.0, **given,
    )  # fmt: skip
