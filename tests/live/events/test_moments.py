"""The moments of a camera whose source begins again."""

import pytest

from memguard.detection.events import Moment
from memguard.live.events import moments as moments_module
from memguard.live.events.moments import Moments


def test_a_source_that_begins_again_continues_numbers_and_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([100.0, 100.2, 100.4, 130.4, 130.4, 130.6])
    monkeypatch.setattr(moments_module.time, "monotonic", lambda: next(clock))
    moments = Moments(live=True, frame=50, seconds=7.0)
    first = moments.place(Moment(frame=0, seconds=0.0))
    second = moments.place(Moment(frame=1, seconds=0.2))
    again = moments.place(Moment(frame=0, seconds=0.0))  # 30 seconds later, from a new connection
    after = moments.place(Moment(frame=1, seconds=0.2))
    assert [m.frame for m in (first, second, again, after)] == [50, 51, 52, 53]
    assert [m.seconds for m in (first, second)] == [7.0, 7.2]
    assert again.seconds == pytest.approx(37.2)
    assert after.seconds == pytest.approx(37.4)


def test_a_source_that_begins_again_and_sends_nothing_is_off_from_now_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter([100.0, 100.2, 160.2])
    monkeypatch.setattr(moments_module.time, "monotonic", lambda: next(clock))
    moments = Moments(live=True)
    moments.place(Moment(frame=9, seconds=40.0))
    assert moments.at(43.0).seconds == 43.0  # of the same source
    assert moments.at(0.0).seconds == pytest.approx(40.0 + 60.0)
