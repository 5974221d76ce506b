"""The live page, as a browser shows it."""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from memguard.live.page.server import Server, place_at
from memguard.live.page.status import CameraStatus
from tests.live.page.scene import a_report, a_status, write_minutes, write_reports, write_snapshot

MARKUP = "<img src=x onerror=alert(1)>"


def wait_for(page: Any, javascript: str) -> None:
    deadline = time.monotonic() + 20
    while not page.run(javascript):
        assert time.monotonic() < deadline, javascript
        time.sleep(0.05)


@pytest.fixture
def cameras() -> list[CameraStatus]:
    return [
        a_status("door", score=5.3),
        a_status(MARKUP, state="outage", score=None, fps=None, recalibrate=True),
    ]


@pytest.fixture
def server(tmp_path: Path, cameras: list[CameraStatus]) -> Iterator[Server]:
    """Two cameras: an anomaly at the first one, an outage of the other, which has a bad name."""
    now = datetime.now(timezone.utc)
    day = [(now - timedelta(minutes=minutes), 1.0, 0.1) for minutes in range(1400, 0, -1)]
    write_minutes(tmp_path / "door", day)
    path = write_snapshot(tmp_path / "door", "door-1")
    clips = [path.replace("1.jpg", "1.mp4"), path.replace("1.jpg", "1-2.mp4")]
    for clip in clips:
        Path(clip).write_bytes(b"")
    report = a_report(state="ongoing", snapshot=path, clip=clips[0], more_clips=clips[1:])
    write_reports(tmp_path / "door", [report])
    outage = a_report("out-1", ago=99, camera=MARKUP, kind="outage", reason=MARKUP)
    write_reports(tmp_path / MARKUP, [outage])
    served = place_at("127.0.0.1:0", None).serve(lambda: cameras, tmp_path)
    yield served
    served.close()


def open_page(page: Any, server: Server, width: int) -> None:
    """Open the page, and wait for its events."""
    page.open(server.url, width)
    wait_for(page, "document.querySelectorAll('.event').length === 2")


@pytest.mark.parametrize("width", [1280, 390])
def test_cameras_and_events_are_shown_at_any_width(
    page: Any, server: Server, width: int, tmp_path: Path
) -> None:
    open_page(page, server, width)
    wait_for(page, "document.querySelector('.line').getAttribute('d')?.length > 5000")
    wait_for(page, "[...document.images].some(image => image.naturalWidth === 64)")
    assert page.run("document.documentElement.scrollWidth") <= width
    assert page.complaints == []
    assert all(request.startswith(server.url) for request in page.requests)
    assert page.run("[...document.querySelectorAll('.state')].map(e => e.textContent)") == [
        "anomaly", "outage",
    ]  # fmt: skip
    assert page.run("document.title") == "(1) memguard"
    assert page.run("document.querySelector('.event .where').textContent") == MARKUP
    assert page.run("document.querySelectorAll('.play:not([hidden])').length") == 1
    assert page.run("document.querySelectorAll('.advice:not([hidden])').length") == 1
    bands = "[...document.querySelectorAll('.spans rect')].map(e => e.getAttribute('class'))"
    assert page.run(bands) == ["anomaly", "outage"]


@pytest.mark.parametrize("width", [1280, 390])
def test_a_day_is_chosen_for_events_and_timelines(
    page: Any, server: Server, width: int, tmp_path: Path
) -> None:
    open_page(page, server, width)
    wait_for(page, "document.querySelector('.to').textContent === 'now'")
    noon = datetime(2026, 1, 7, 12).astimezone()
    report = a_report("old", start_time=noon, end_time=noon + timedelta(seconds=9))
    write_reports(tmp_path / "door", [report])
    minutes = [(noon + timedelta(minutes=number), 3.0, 0.5) for number in range(180)]
    write_minutes(tmp_path / "door", minutes)
    choose = "const day = {}; day.value = '{}'; day.dispatchEvent(new Event('change'))"
    at = "document.getElementById('day')"
    page.run(f"{{ {choose.format(at, '2026-01-07')} }}")
    wait_for(page, "document.querySelectorAll('.event').length === 1")
    wait_for(page, "document.querySelector('.from').textContent === '00:00'")
    bands = "[...document.querySelectorAll('.spans rect')].map(e => Number(e.getAttribute('x')))"
    assert page.run(bands) == [720]  # in the middle of the day
    line = page.run("document.querySelector('.line').getAttribute('d')")
    assert line.startswith("M720.0 ")
    assert line.count("L") == 179
    assert page.run("document.documentElement.scrollWidth") <= width
    page.run(f"{{ {choose.format(at, '2026-01-09')} }}")
    wait_for(page, "document.getElementById('no-events').textContent === 'No event on this day.'")
    wait_for(page, "!document.getElementById('no-events').hidden")
    page.run("document.getElementById('latest').click()")
    wait_for(page, "document.querySelectorAll('.event').length === 3")
    wait_for(page, "document.querySelector('.to').textContent === 'now'")
    assert page.run("document.getElementById('latest').hidden")
    assert page.complaints == []


def test_it_refreshes_itself_and_says_when_nothing_answers(
    page: Any, server: Server, cameras: list[CameraStatus]
) -> None:
    page.open(server.url, 1280)
    wait_for(page, "document.querySelector('.camera .score')?.textContent === '5.3'")
    cameras[0] = a_status("door", score=0.5)
    wait_for(page, "document.querySelector('.camera .score').textContent === '0.5'")
    for score, text in ((-0.04, "0.0"), (-1.2, "−1.2")):
        cameras[0] = a_status("door", score=score)
        wait_for(page, f"document.querySelector('.camera .score').textContent === '{text}'")
    assert page.run("document.getElementById('no-answer').hidden")
    page.run("document.querySelector('.play:not([hidden])').click()")
    assert page.run("document.querySelector('video').src").endswith("/events/door/door-1.mp4")
    page.run("document.querySelector('video').dispatchEvent(new Event('ended'))")
    assert page.run("document.querySelector('video').src").endswith("/events/door/door-1-2.mp4")
    page.run("document.getElementById('only').value = 'door'; refresh()")
    wait_for(page, "document.querySelectorAll('.event').length === 1")
    assert page.run("document.querySelector('video') !== null")  # it plays while events refresh
    server.close()
    page.run("answered = new Date(0)")  # it is patient for some seconds
    wait_for(page, "!document.getElementById('no-answer').hidden")
