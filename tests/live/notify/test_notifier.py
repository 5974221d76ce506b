"""A camera sends all reports of an event or none, within its limits."""

from types import SimpleNamespace
from typing import Any

import pytest

from memguard.live.notify import notifier as notifier_module
from memguard.live.notify.notifier import Notifier
from memguard.live.reports import Report
from tests.live.notify.conftest import report


class Clock:
    """A clock that tests set."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(notifier_module, "time", clock)
    return clock


def notifier(sent: list[Report], **limits: Any) -> Notifier:
    delivery = SimpleNamespace(put=sent.append)
    return Notifier([delivery], **{"cooldown": 60.0, "most_per_hour": 3} | limits)  # type: ignore


def begins(notifier: Notifier, number: int, **changes: Any) -> bool:
    return notifier.allows(report(number, notified=False, **changes))


def test_all_reports_of_a_notified_event_are_sent_and_no_other(clock: Clock) -> None:
    sent: list[Report] = []
    camera = notifier(sent)
    assert begins(camera, 1)
    assert not begins(camera, 2)
    assert camera.allows(report(1, state="ongoing"))
    assert camera.allows(report(1, state="end"))
    assert not camera.allows(report(2, state="end", notified=False))
    assert camera.held_back == 1
    camera.send(report(1))
    camera.send(report(2, notified=False))
    assert [each.id for each in sent] == ["door-1"]


def test_an_event_that_lasts_is_sent_when_the_cooldown_is_over(clock: Clock) -> None:
    camera = notifier([])
    assert begins(camera, 1)
    clock.now = 59.0
    assert not begins(camera, 2)
    clock.now = 61.0
    assert begins(camera, 2, state="ongoing")


def test_an_outage_has_a_cooldown_of_its_own(clock: Clock) -> None:
    camera = notifier([])
    assert begins(camera, 1)
    assert begins(camera, 2, kind="outage")


def test_events_in_an_hour_are_limited(clock: Clock) -> None:
    camera = notifier([], cooldown=0.0)
    assert [begins(camera, number) for number in range(5)] == [True] * 3 + [False] * 2
    clock.now = 3600.0
    assert begins(camera, 6)


def test_without_a_channel_no_event_is_notified_or_held_back() -> None:
    camera = Notifier()
    assert not begins(camera, 1)
    assert not begins(camera, 1, state="end")
    assert camera.held_back == 0
