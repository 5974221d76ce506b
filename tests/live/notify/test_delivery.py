"""Reports arrive in order, also after faults, and nobody waits for them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from memguard.live.notify import delivery as delivery_module
from memguard.live.notify.delivery import Delivery, NotDeliveredError, RefusedError
from memguard.live.notify.notifier import close_deliveries
from memguard.live.reports import Report
from tests.live.notify.conftest import report


class Channel:
    """A channel that takes reports, or has one of the faults in turn."""

    name = "https://***@door/hook"

    def __init__(self, *faults: Exception | None) -> None:
        self.faults = list(faults)
        self.arrived: list[str] = []
        self.opened, self.closed = threading.Event(), False
        self.opened.set()

    def send(self, report: Report) -> None:
        self.opened.wait()
        if fault := self.faults.pop(0) if self.faults else None:
            raise fault
        self.arrived.append(report.id)

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_module, "PAUSES", (0.05,))


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


@contextmanager
def delivering(channel: Channel, spool: Path) -> Iterator[Delivery]:
    delivery = Delivery(channel, spool)
    yield delivery
    delivery.close()
    assert channel.closed


def test_reports_arrive_in_order_and_leave_nothing(tmp_path: Path) -> None:
    channel = Channel()
    with delivering(channel, tmp_path / "spool") as delivery:
        for number in range(50):
            delivery.put(report(number))
    assert channel.arrived == [f"door-{number}" for number in range(50)]
    assert not (tmp_path / "spool").exists()


def test_a_report_is_sent_again_until_it_arrives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    channel = Channel(NotDeliveredError("no answer"), NotDeliveredError("no answer"))
    with delivering(channel, tmp_path / "spool") as delivery:
        delivery.put(report(1))
        delivery.put(report(2))
        wait_until(lambda: len(channel.arrived) == 2)
    assert channel.arrived == ["door-1", "door-2"]
    assert caplog.text.count("a notification did not arrive (no answer)") == 1
    assert "notifications arrive again" in caplog.text


def test_reports_wait_on_disk_for_the_next_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    down = Channel(*[NotDeliveredError("no answer")] * 1000)
    with delivering(down, tmp_path / "spool") as delivery:
        for number in range(3):
            delivery.put(report(number))
        wait_until(lambda: len(down.faults) < 1000)
    assert "3 notifications have not arrived; they wait in" in caplog.text
    (tmp_path / "spool" / "0.json").write_text("{")
    up = Channel()
    with delivering(up, tmp_path / "spool") as delivery:
        delivery.put(report(3))
        wait_until(lambda: len(up.arrived) == 4)
    assert up.arrived == ["door-0", "door-1", "door-2", "door-3"]
    assert "0.json: this notification is damaged" in caplog.text


@pytest.mark.parametrize("fault", [RefusedError("the answer is 404"), ValueError("pass:word")])
def test_a_refused_report_does_not_hold_up_the_others(
    fault: Exception, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    channel = Channel(fault)
    with delivering(channel, tmp_path / "spool") as delivery:
        delivery.put(report(1))
        delivery.put(report(2))
    assert (channel.arrived, delivery.lost) == (["door-2"], 1)
    assert "the notification of door-1 is lost" in caplog.text
    assert "pass:word" not in caplog.text


def test_nobody_waits_for_a_channel_and_the_newest_reports_are_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "WAITING", 20)
    channel = Channel(NotDeliveredError("no answer"))
    channel.opened.clear()
    with delivering(channel, tmp_path / "spool") as delivery:
        began = time.monotonic()
        delivery.put(report(0))
        wait_until(delivery._queue.empty)
        for number in range(1, 21):
            delivery.put(report(number))
        delivery.put(report(21))  # no room at all
        assert time.monotonic() - began < 5
        channel.opened.set()
        wait_until(lambda: len(channel.arrived) == 20)
    assert channel.arrived == [f"door-{number}" for number in range(1, 21)]
    assert delivery.lost == 2


def test_a_disk_that_is_full_keeps_no_report_from_arriving(tmp_path: Path) -> None:
    (tmp_path / "spool").touch()  # where a folder cannot be
    channel = Channel(NotDeliveredError("no answer"))
    with delivering(channel, tmp_path / "spool") as delivery:
        delivery.put(report(1))
        wait_until(lambda: channel.arrived == ["door-1"])


def test_reports_wait_in_order_though_the_clock_is_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = count(9 * 10**18, -(10**15))
    monkeypatch.setattr(delivery_module.time, "time_ns", lambda: next(times))
    spool = tmp_path / "spool"
    for sent in [(0, 1), (2,)]:  # by two processes
        down = Channel(*[NotDeliveredError("no answer")] * 1000)
        with delivering(down, spool) as delivery:
            for number in sent:
                delivery.put(report(number))
    up = Channel()
    with delivering(up, spool):
        wait_until(lambda: len(up.arrived) == 3)
    assert up.arrived == ["door-0", "door-1", "door-2"]


def test_deliveries_close_together(tmp_path: Path) -> None:
    channels = [Channel() for _ in range(8)]
    deliveries = [Delivery(each, tmp_path / f"{n}") for n, each in enumerate(channels)]
    for each, delivery in zip(channels, deliveries, strict=True):
        each.opened.clear()  # it hangs
        delivery.put(report(1))
    wait_until(lambda: all(list((tmp_path / f"{n}").glob("*.json")) for n in range(8)))
    began = time.monotonic()
    close_deliveries(deliveries, seconds=0.3)
    assert time.monotonic() - began < 1
    for each in channels:
        each.opened.set()
    wait_until(lambda: all(each.closed for each in channels))
