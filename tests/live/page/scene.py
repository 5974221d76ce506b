"""Cameras with events and scores, as the live page shows them."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from PIL import Image

from memguard.live.page.status import CameraStatus
from memguard.live.reports import Report

TOKEN = "a token of some length"


def a_status(name: str = "door", **changes: Any) -> CameraStatus:
    """The status of a camera that watches."""
    now = datetime.now(timezone.utc)
    watching = CameraStatus(
        name, "watching", since=now, refreshed=now, fps=5.0, score=0.8, level=4.6, lag=0.2,
        frames=1200, dropped=3, torn=2, events=1, held_back=4, drift=0.1, recalibrate=False,
    )  # fmt: skip
    return replace(watching, **changes)


def a_report(name: str = "door-1", *, ago: float = 600.0, **changes: Any) -> Report:
    """The last report of an anomaly that began some seconds ago and lasted for twelve."""
    start = datetime.now(timezone.utc) - timedelta(seconds=ago)
    ended = Report(
        id=name, camera="door", kind="anomaly", state="end", start_frame=500, start_seconds=100.0,
        start_time=start, end_frame=560, end_seconds=112.0,
        end_time=start + timedelta(seconds=12), peak_frame=520, peak_score=7.2,
        normal_per_hour=0.02, notified=True,
    )  # fmt: skip
    return ended.model_copy(update=changes)


def write_reports(folder: Path, reports: Iterable[Report]) -> None:
    """Append reports to a camera's events."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.jsonl").open("a") as file:
        file.writelines(report.model_dump_json() + "\n" for report in reports)


def write_snapshot(folder: Path, name: str) -> str:
    """Write a grey picture, and return its path as reports have it."""
    path = folder / "events" / f"{name}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 48), "#808080").save(path)
    return str(path)


def write_minutes(folder: Path, rows: Iterable[tuple[datetime, float, float]]) -> None:
    """Write the scores of minutes."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{time.isoformat()},{highest},{median},300" for time, highest, median in rows]
    (folder / "scores_minutes.csv").write_text(
        "\n".join(["time,highest,median,frames", *lines]) + "\n"
    )
