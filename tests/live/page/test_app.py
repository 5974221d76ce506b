"""Answers of the live page to browsers, to Prometheus, and to requests without the token."""

import http.client
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import pytest

from memguard.live.page.server import Server, place_at
from memguard.live.page.status import CameraStatus, awaited
from tests.live.page.scene import (
    TOKEN,
    a_report,
    a_status,
    write_minutes,
    write_reports,
    write_snapshot,
)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(
    server: Server, path: str, *, method: str = "GET", body: str = "", **headers: str
) -> Answer:
    """Send a request as it is: a browser would resolve the dots of its path."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
    connection.request(method, path, body or None, headers)
    answer = connection.getresponse()
    fields = {name.lower(): value for name, value in answer.getheaders()}
    received = Answer(answer.status, fields, answer.read())
    connection.close()
    return received


@pytest.fixture
def cameras() -> list[CameraStatus]:
    return [a_status("door"), a_status("yard & <b>")]


@pytest.fixture
def server(tmp_path: Path, cameras: list[CameraStatus]) -> Iterator[Server]:
    served = place_at("127.0.0.1:0", None).serve(lambda: cameras, tmp_path)
    yield served
    served.close()


@pytest.fixture
def locked(tmp_path: Path, cameras: list[CameraStatus]) -> Iterator[Server]:
    """A server that needs a token."""
    write_snapshot(tmp_path / "door", "door-1")
    served = place_at("127.0.0.1:0", TOKEN).serve(lambda: cameras, tmp_path)
    yield served
    served.close()


def test_cameras_are_listed_with_null_for_what_is_no_number(
    server: Server, cameras: list[CameraStatus]
) -> None:
    cameras[0] = a_status("door", score=float("nan"))
    first, second = get(server, "/api/cameras").json
    assert (first["name"], first["score"], first["state"]) == ("door", None, "watching")
    assert datetime.fromisoformat(first["since"]) == cameras[0].since
    assert second["score"] == 0.8


def test_events_have_their_last_report_and_only_pictures_that_are_there(
    server: Server, tmp_path: Path
) -> None:
    path = write_snapshot(tmp_path / "door", "door-2")
    gone = str(tmp_path / "door" / "events" / "door-1.jpg")
    lasting = a_report("door-1", ago=900, state="begin", snapshot=gone)
    write_reports(tmp_path / "door", [lasting, lasting.after("end", peak_score=9.0)])
    more = [path.replace("-2.jpg", "-2-2.mp4"), path.replace("-2.jpg", "-2-3.mp4")]
    Path(more[1]).write_bytes(b"")  # the first one is removed by its age
    second = a_report("door-2", ago=60, snapshot=path, more_clips=more)
    write_reports(tmp_path / "door", [second])
    write_reports(tmp_path / "yard & <b>", [a_report("yard-1", ago=300, camera="yard & <b>")])
    with (tmp_path / "door" / "events.jsonl").open("a") as file:
        file.write('{"rubbish": 1}\n{"id": "torn')
    events = get(server, "/api/events").json
    assert [event["id"] for event in events] == ["door-2", "yard-1", "door-1"]
    assert [event["snapshot"] for event in events] == ["/events/door/door-2.jpg", None, None]
    assert [event["more_clips"] for event in events] == [["/events/door/door-2-3.mp4"], [], []]
    assert (events[2]["state"], events[2]["peak_score"]) == ("end", 9.0)
    only = get(server, f"/api/events?camera={quote('yard & <b>')}").json
    assert [event["id"] for event in only] == ["yard-1"]
    # A line that is added is there at once.
    write_reports(tmp_path / "yard & <b>", [a_report("yard-2", ago=1, camera="yard & <b>")])
    assert get(server, "/api/events").json[0]["id"] == "yard-2"


def test_an_old_event_that_lasts_stays_among_the_latest(server: Server, tmp_path: Path) -> None:
    latest = [a_report(f"door-{number}", ago=1000 - number) for number in range(80)]
    write_reports(tmp_path / "door", [a_report("lasting", ago=5000, state="ongoing"), *latest])
    events = get(server, "/api/events").json
    assert [events[0]["id"], events[-1]["id"]] == ["door-79", "lasting"]
    assert len(events) == 61


def test_the_timeline_has_the_last_24_hours(server: Server, tmp_path: Path) -> None:
    now = datetime.now(timezone.utc).replace(microsecond=0)
    times = [now - timedelta(hours=hours) for hours in (25, 23, 1)]
    write_minutes(tmp_path / "door", [(time, 2.5, 0.1) for time in times])
    ended, lasting = a_report("a", ago=25 * 3600), a_report("b", ago=26 * 3600, state="ongoing")
    write_reports(tmp_path / "door", [ended, lasting, a_report("c", ago=60)])
    timeline = get(server, "/api/timeline?camera=door").json
    assert timeline["minutes"] == [[time.timestamp(), 2.5, 0.1] for time in times[1:]]
    spans = [(span["kind"], span["end"] is None) for span in timeline["events"]]
    assert spans == [("anomaly", True), ("anomaly", False)]
    assert get(server, "/api/timeline?camera=nobody").status == 404


@pytest.mark.parametrize(("minutes", "begins"), [(3, 10), (45, 45), (2000, 1440)])
def test_the_timeline_of_a_camera_that_has_just_begun_is_shorter(
    server: Server, tmp_path: Path, minutes: int, begins: int
) -> None:
    now = datetime.now(timezone.utc)
    first = now - timedelta(minutes=minutes)
    write_minutes(tmp_path / "door", [(first, 2.5, 0.1), (now - timedelta(minutes=1), 2.5, 0.1)])
    since = datetime.fromisoformat(get(server, "/api/timeline?camera=door").json["since"])
    assert abs((now - since) - timedelta(minutes=begins)) < timedelta(seconds=30)


def local(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of January 2026 in the local time."""
    return datetime(2026, 1, day, hour, minute).astimezone()


def test_a_day_of_months_has_its_minutes_and_events(server: Server, tmp_path: Path) -> None:
    minutes = (local(1, 0) + timedelta(minutes=number) for number in range(30 * 1440))
    write_minutes(tmp_path / "door", [(time, time.day + 0.25, 0.5) for time in minutes])
    assert (tmp_path / "door" / "scores_minutes.csv").stat().st_size > 4 * 2**18
    timeline = get(server, "/api/timeline?camera=door&day=2026-01-07").json
    assert datetime.fromisoformat(timeline["since"]) == local(7, 0)
    assert datetime.fromisoformat(timeline["until"]) == local(8, 0)
    assert len(timeline["minutes"]) == 1440
    assert timeline["minutes"][0] == [local(7, 0).timestamp(), 7.25, 0.5]
    assert timeline["minutes"][1439][0] == local(7, 23, 59).timestamp()

    night = a_report("night", start_time=local(6, 23), end_time=local(7, 1))
    hourly = [
        a_report(f"{day}-{hour}", start_time=local(day, hour), end_time=local(day, hour, 5))
        for day in range(1, 31)
        for hour in range(2, 24)
    ]
    written = sorted([night, *hourly], key=lambda report: report.end_time or local(1, 0))
    write_reports(tmp_path / "door", written)
    assert (tmp_path / "door" / "events.jsonl").stat().st_size > 2**18
    expected = [*(f"7-{hour}" for hour in range(23, 1, -1)), "night"]
    events = get(server, "/api/events?camera=door&day=2026-01-07").json
    assert [event["id"] for event in events] == expected
    spans = get(server, "/api/timeline?camera=door&day=2026-01-07").json["events"]
    assert len(spans) == len(expected)
    assert get(server, "/api/events?day=2026-02-07").json == []
    assert get(server, "/api/timeline?camera=yard%20%26%20%3Cb%3E&day=2026-01-07").json[
        "minutes"
    ] == []  # fmt: skip
    for wrong in ("7", "2026-13-01", "0001-01-01x", "9999-12-31"):
        assert get(server, f"/api/events?day={wrong}").status == 400, wrong


def test_a_file_of_months_is_read_from_its_end(server: Server, tmp_path: Path) -> None:
    write_reports(tmp_path / "door", [a_report(f"door-{number}") for number in range(1000)])
    assert (tmp_path / "door" / "events.jsonl").stat().st_size > 2**18
    ids = [event["id"] for event in get(server, "/api/events").json]
    assert "door-999" in ids
    assert "door-0" not in ids
    assert len(ids) == 60


def test_pictures_are_served_and_nothing_else(server: Server, tmp_path: Path) -> None:
    write_snapshot(tmp_path / "door", "door-1")
    (tmp_path / "secret.jpg").write_text("secret")
    (tmp_path / "door" / "state.json").write_text("secret")
    (tmp_path / "door" / "events" / "notes.txt").write_text("secret")
    (tmp_path / "door" / "events" / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "other" / "events").mkdir(parents=True)
    (tmp_path / "other" / "events" / "a.jpg").write_text("secret")
    answer = get(server, "/events/door/door-1.jpg", Range="bytes=0-1")
    assert (answer.status, answer.body) == (206, b"\xff\xd8")
    assert answer.headers["content-type"] == "image/jpeg"
    for path in (
        "/events/door/notes.txt", "/events/door/link.jpg", "/events/other/a.jpg",
        "/events/door/../../secret.jpg", "/events/door/..%2f..%2fsecret.jpg",
        "/events/door/%2e%2e/state.json", "/events/../secret.jpg", "/events/%2e%2e/secret.jpg",
        f"/events/door/{quote(str(tmp_path / 'secret.jpg'), safe='')}", "/events/door/..",
        "/events/door/missing.jpg", "/events/door/..%5c..%5csecret.jpg", "/events/door/a%00.jpg",
        "/page.html/../../server.py", "/../server.py", "//etc/passwd",
    ):  # fmt: skip
        answer = get(server, path)
        assert (answer.status, b"secret" in answer.body) == (404, False), path


def test_health_fails_once_a_camera_is_not_refreshed(
    server: Server, cameras: list[CameraStatus]
) -> None:
    assert get(server, "/health").status == 200
    now = datetime.now(timezone.utc)
    cameras[1] = a_status("yard", refreshed=now - timedelta(seconds=61))
    answer = get(server, "/health")
    assert (answer.status, answer.json) == (503, {"healthy": False, "late": ["yard"]})


def test_a_camera_that_nobody_has_tried_is_connecting_and_has_no_level(
    server: Server, cameras: list[CameraStatus]
) -> None:
    cameras[1] = awaited("yard")
    assert get(server, "/health").status == 200
    (status,) = (each for each in get(server, "/api/cameras").json if each["name"] == "yard")
    assert (status["state"], status["level"]) == ("connecting", None)
    assert 'alarm_level{camera="yard"}' not in get(server, "/metrics").body.decode()


def test_prometheus_gets_its_format(server: Server) -> None:
    answer = get(server, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert b'memguard_camera_events_total{camera="yard & <b>"} 1.0' in answer.body


def test_the_page_loads_nothing_from_elsewhere(server: Server) -> None:
    page = get(server, "/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for path in ("/", "/colours.css", "/page.css", "/page.js"):
        text = get(server, path).body.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http" not in text
        assert "HTML" not in text.replace("never as HTML", "").replace("<!doctype html>", "")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", ""]
)
def test_another_name_for_this_machine_gets_nothing(server: Server, host: str) -> None:
    assert get(server, "/api/cameras", Host=host).status == 400
    assert get(server, "/api/cameras", Host="localhost:1").status == 200


def test_without_the_token_there_is_only_the_form(locked: Server) -> None:
    for path in ("/api/cameras", "/metrics", "/health", "/events/door/door-1.jpg", "/page.js"):
        answer = get(locked, path)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        for wrong in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x"):
            assert get(locked, path, Authorization=wrong).status == 401
        assert get(locked, path, Cookie=f"memguard_watch={TOKEN}").status == 401
    sent = get(locked, "/", Accept="text/html,*/*")
    assert (sent.status, sent.headers["location"]) == (303, "/login")
    assert b'type="password"' in get(locked, "/login").body
    assert b"--vermilion: #d55e00" in get(locked, "/colours.css").body


def test_the_token_opens_everything(locked: Server) -> None:
    for path in ("/", "/api/cameras", "/metrics", "/health", "/events/door/door-1.jpg"):
        assert get(locked, path, Authorization=f"Bearer {TOKEN}").status == 200, path


def test_the_form_gives_a_cookie_that_is_not_the_token(locked: Server) -> None:
    wrong = get(locked, "/login", method="POST", body=urlencode({"token": "wrong"}))
    assert (wrong.status, "set-cookie" in wrong.headers) == (401, False)
    assert b"This token is not right" in wrong.body
    right = get(locked, "/login", method="POST", body=urlencode({"token": TOKEN}))
    assert (right.status, right.headers["location"]) == (303, "/")
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert TOKEN not in cookie
    assert get(locked, "/api/cameras", Cookie=cookie.partition(";")[0]).status == 200
    long = get(locked, "/login", method="POST", body="token=" + "a" * 10_000)
    assert long.status == 413
