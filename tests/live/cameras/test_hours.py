"""Hours of the day at which a camera is watched."""

from datetime import datetime

import pytest

from memguard.live.cameras.hours import is_within


@pytest.mark.parametrize(
    ("clock", "day", "night"),
    [("06:59", 0, 1), ("07:00", 1, 0), ("19:29", 1, 0), ("19:30", 0, 0), ("22:00", 0, 1)],
)
def test_a_span_begins_with_its_first_minute_and_may_go_over_midnight(
    clock: str, day: bool, night: bool
) -> None:
    moment = datetime.fromisoformat(f"2026-01-02T{clock}")
    assert is_within(["07:00-19:30"], moment) == day
    assert is_within(["22:00-07:00"], moment) == night
    assert is_within(["07:00-19:30", "22:00-07:00"], moment) == (day or night)
    assert is_within(None, moment)
