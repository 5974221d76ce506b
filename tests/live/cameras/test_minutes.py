"""Minutes of scores in a file, and the median of an hour."""

import csv
from datetime import datetime, timedelta
from pathlib import Path

from memguard.live.cameras.minutes import MinuteScores

NOON = datetime(2026, 1, 1, 12, 0, 5)


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_minute_has_its_highest_and_median_score(tmp_path: Path) -> None:
    path = tmp_path / "minutes.csv"
    minutes = MinuteScores(path)
    for second, score in ((0, 1.0), (20, 5.0), (40, 2.0), (60, 7.0)):
        minutes.add(score, NOON + timedelta(seconds=second))
    assert rows(path) == [
        ["time", "highest", "median", "frames"], ["2026-01-01T12:00:00", "5", "2", "3"],
    ]  # fmt: skip
    minutes.write()
    minutes.write()
    MinuteScores(path).add(0.0, NOON)  # a restarted process
    assert rows(path)[2:] == [["2026-01-01T12:01:00", "7", "7", "1"]]


def test_the_hourly_median_needs_an_hour(tmp_path: Path) -> None:
    minutes = MinuteScores(tmp_path / "minutes.csv")
    for minute in range(60):
        minutes.add(float(minute), NOON + timedelta(minutes=minute))
    assert minutes.hourly is None
    minutes.add(9.0, NOON + timedelta(minutes=60))
    assert minutes.hourly == 29.5
    for minute in range(61, 91):
        minutes.add(100.0, NOON + timedelta(minutes=minute))
    assert minutes.hourly == 58.5  # of 9, 30 to 59 and 29 times 100


def test_a_full_disk_stops_no_camera(tmp_path: Path) -> None:
    minutes = MinuteScores(tmp_path / "none" / "minutes.csv")
    minutes.add(1.0, NOON)
    minutes.write()
    minutes.add(2.0, NOON + timedelta(minutes=1))
