"""Events of hand-made scores are reported when they begin, while they last, and at their end."""

import json
import time
from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from memguard.data.video.stream import Interruption
from memguard.detection.events import EventStream
from memguard.live.events import event_files as event_files_module
from memguard.live.events import moments as moments_module
from memguard.live.events import reporter as reporter_module
from memguard.live.events.event_files import EventFiles, Keeping
from memguard.live.events.reporter import EventReporter
from memguard.live.notify.notifier import Notifier
from memguard.live.reports import Condition, Report
from tests.live.conftest import scored

NO_PICTURES = Keeping(snapshots=False, clip=None, days=1, gigabytes=1)
FPS = 5


def reporter(folder: Path, *, longest: float = 600.0, **options: Any) -> EventReporter:
    """The reporter of a camera of five frames a second whose alarm begins above 1."""
    given = {"live": False, "notifier": Notifier()} | options
    files = EventFiles(folder / "events", given.pop("keeping", NO_PICTURES))
    return EventReporter(
        "door", folder, EventStream(1.0, longest), lambda score: 4 / score, files, **given
    )


def watch(reporter: EventReporter, frames: Iterable[int], score: float) -> None:
    for frame in frames:
        reporter.add(scored(frame, score, FPS))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def short(folder: Path) -> list[tuple[str, str, int, int]]:
    return [(r["kind"], r["state"], r["start_frame"], r["end_frame"]) for r in lines(folder)]


def pictures_of(clip: Path) -> int:
    with av.open(str(clip)) as container:
        return len(list(container.decode(video=0)))


def test_an_event_is_on_disk_when_it_begins_each_minute_and_when_it_has_ended(
    tmp_path: Path,
) -> None:
    camera = reporter(tmp_path)
    watch(camera, range(10), 0.5)
    assert not (tmp_path / "events.jsonl").exists()
    watch(camera, range(10, 11), 2.0)
    assert short(tmp_path) == [("anomaly", "begin", 10, 10)]
    watch(camera, range(11, 710), 3.0)  # 140 seconds
    watch(camera, range(710, 735), 0.5)
    assert short(tmp_path)[1:] == [("anomaly", "ongoing", 10, 310), ("anomaly", "ongoing", 10, 610)]
    watch(camera, range(735, 736), 0.5)
    assert short(tmp_path)[3:] == [("anomaly", "end", 10, 709)]
    assert camera.open == {}


def test_a_report_has_the_peak_and_how_often_normal_video_has_its_score(tmp_path: Path) -> None:
    camera = reporter(tmp_path)
    for frame, score in enumerate([2.0, 8.0, 4.0]):
        camera.add(scored(frame, score, FPS))
    camera.close()
    begin, end = lines(tmp_path)
    assert begin["id"] == end["id"]
    assert begin["id"].startswith("door-2")
    assert (begin["peak_frame"], begin["peak_score"], begin["normal_per_hour"]) == (0, 2.0, 2.0)
    assert (end["peak_frame"], end["peak_seconds"], end["normal_per_hour"]) == (1, 0.2, 0.5)
    assert [end[side] for side in ("left", "top", "right", "bottom")] == [20, 10, 40, 30]
    assert (end["camera"], end["peak_time"], end["reason"], end["notified"]) == (
        "door", None, None, False
    )  # fmt: skip


def test_a_longer_event_than_the_longest_is_followed_by_another(tmp_path: Path) -> None:
    camera = reporter(tmp_path, longest=10)
    watch(camera, range(100), 2.0)
    assert short(tmp_path) == [
        ("anomaly", "begin", 0, 0), ("anomaly", "end", 0, 50), ("anomaly", "begin", 51, 51)
    ]  # fmt: skip
    assert len({line["id"] for line in lines(tmp_path)}) == 2


def test_an_outage_ends_an_event_and_is_one_until_pictures_come(tmp_path: Path) -> None:
    camera = reporter(tmp_path, live=True)
    watch(camera, range(10), 2.0)
    first = camera.interrupt(Interruption(1.8, "the stream ended"))
    assert [(report.kind, report.state) for report in first] == [
        ("anomaly", "end"), ("outage", "begin")
    ]  # fmt: skip
    assert camera.interrupt(Interruption(1.9, "again")) == []
    camera.add(scored(10, 2.0, FPS)._replace(moment=scored(300, 2.0, FPS).moment))
    end, begin = lines(tmp_path)[3:]
    assert (end["kind"], end["state"], end["reason"]) == ("outage", "end", "the stream ended")
    assert (end["start_seconds"], end["end_seconds"]) == (1.8, 60.0)
    assert end["peak_score"] is None
    assert (begin["kind"], begin["state"]) == ("anomaly", "begin")


def test_times_of_day_are_those_of_the_pictures(tmp_path: Path) -> None:
    camera = reporter(tmp_path, live=True)
    captured = datetime.now().astimezone() - timedelta(seconds=40)
    picture = scored(10, 2.0, FPS)
    camera.add(picture._replace(moment=picture.moment._replace(time=captured)))
    (begin,) = lines(tmp_path)
    assert [datetime.fromisoformat(begin[f"{name}_time"]) for name in ("start", "end", "peak")] == [
        captured
    ] * 3
    # the camera was off three seconds before that was clear
    (_, outage) = camera.interrupt(Interruption(2.0 + 3.0, "no picture came"))
    assert outage.start_time
    assert outage.start_time - datetime.fromisoformat(begin["peak_time"]) == timedelta(seconds=3)


def test_an_outage_that_lasts_is_reported_though_no_pictures_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = reporter(tmp_path, live=True)
    camera.interrupt(Interruption(0.0, "off"))
    assert camera.remind() == []
    monkeypatch.setattr(reporter_module, "REMINDER", 0.0)
    (ongoing,) = camera.remind()
    assert (ongoing.kind, ongoing.state) == ("outage", "ongoing")
    assert ongoing.end_seconds > ongoing.start_seconds


def age(folder: Path, seconds: float) -> None:
    """Make the state of a camera so much older."""
    path = folder / "state.json"
    state = json.loads(path.read_text())
    earlier = datetime.fromisoformat(state["time"]) - timedelta(seconds=seconds)
    path.write_text(json.dumps(state | {"time": earlier.isoformat()}))


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The folder of a camera whose process was killed in its second event."""
    camera = reporter(tmp_path, live=True, continues=True)
    watch(camera, range(3), 2.0)
    watch(camera, range(3, 40), 0.0)
    watch(camera, range(40, 44), 5.0)
    return tmp_path


def test_a_restarted_process_continues_numbers_and_an_open_event(killed: Path) -> None:
    camera = reporter(killed, live=True, continues=True)
    watch(camera, range(4, 8), 2.0)
    watch(camera, range(8, 40), 0.0)
    watch(camera, range(40, 41), 2.0)
    found = lines(killed)
    assert [(line["state"], line["id"].rpartition("-")[2]) for line in found] == [
        ("begin", "1"), ("end", "1"), ("begin", "2"), ("end", "2"), ("begin", "3")
    ]  # fmt: skip
    begin, end, third = found[2:]
    assert begin["id"] == end["id"]
    assert (end["start_frame"], end["peak_frame"], end["peak_score"]) == (40, 40, 5.0)
    assert end["start_time"] == begin["start_time"]
    assert end["end_frame"] > 43
    assert end["end_seconds"] > begin["start_seconds"]
    assert third["start_frame"] > end["end_frame"]


def test_the_rest_of_an_event_has_a_clip_of_its_own_after_each_restart(tmp_path: Path) -> None:
    keeping = Keeping(snapshots=False, clip=1.0, days=1, gigabytes=1)
    for frames in (range(6), range(4), range(3)):
        camera = reporter(tmp_path, live=True, continues=True, keeping=keeping)
        watch(camera, frames, 2.0)
        camera.close()
    camera = reporter(tmp_path, live=True, continues=True, keeping=keeping)
    camera.interrupt(Interruption(0.0, "off"))  # no picture comes after the last restart
    begin, end, _outage = lines(tmp_path)
    assert begin["id"] == end["id"]
    assert begin["more_clips"] == []
    paths = [Path(path) for path in (end["clip"], *end["more_clips"])]
    assert [path.name for path in paths] == [f"{end['id']}{rest}.mp4" for rest in ("", "-2", "-3")]
    assert [pictures_of(path) for path in paths] == [6, 4, 3]
    camera.close()
    assert sorted(tmp_path.glob("events/*.mp4")) == sorted(paths)


@pytest.mark.parametrize("longest", [600.0, 10.0], ids=["the camera breaks off", "is the longest"])
def test_a_rest_that_is_over_at_once_names_no_clip(tmp_path: Path, longest: float) -> None:
    options = {
        "live": True,
        "continues": True,
        "longest": longest,
        "keeping": Keeping(snapshots=False, clip=1.0, days=1, gigabytes=1),
    }
    camera = reporter(tmp_path, **options)
    watch(camera, range(6), 2.0)
    camera.close()
    age(tmp_path, seconds=33)
    camera = reporter(tmp_path, **options)
    watch(camera, range(4, 5), 0.5)
    camera.interrupt(Interruption(0.8, "off"))
    camera.close()
    begin, end, _outage = lines(tmp_path)
    assert (end["id"], end["end_seconds"]) == (begin["id"], 1.0)
    assert (end["clip"], end["more_clips"]) == (begin["clip"], [])
    assert list(tmp_path.glob("events/*.mp4")) == [Path(end["clip"])]


@pytest.mark.parametrize("rest", [0, 4])
def test_a_clip_that_a_kill_left_nothing_of_is_named_only_where_the_rest_takes_its_place(
    rest: int, tmp_path: Path
) -> None:
    keeping = Keeping(snapshots=False, clip=1.0, days=1, gigabytes=1)
    killed = reporter(tmp_path, live=True, continues=True, keeping=keeping)
    watch(killed, range(3), 2.0)
    assert not list(tmp_path.glob("events/*.mp4"))  # its first second is not on disk yet
    camera = reporter(tmp_path, live=True, continues=True, keeping=keeping)
    watch(camera, range(rest), 2.0)
    camera.interrupt(Interruption(0.0, "off"))
    camera.close()
    begin, end, _outage = lines(tmp_path)
    assert (end["id"], end["more_clips"]) == (begin["id"], [])
    assert end["clip"] == (begin["clip"] if rest else None)
    assert [pictures_of(path) for path in tmp_path.glob("events/*.mp4")] == [rest] * (rest > 0)


def test_each_part_of_an_event_longer_than_the_longest_has_a_clip(tmp_path: Path) -> None:
    keeping = Keeping(snapshots=False, clip=1.0, days=1, gigabytes=1)
    camera = reporter(tmp_path, longest=10, keeping=keeping)
    watch(camera, range(5), 0.5)
    watch(camera, range(5, 90), 2.0)
    camera.close()
    clips = [Path(line["clip"]) for line in lines(tmp_path) if line["state"] == "end"]
    assert [pictures_of(clip) for clip in clips] == [57, 33]  # one begins where the other ends


def test_an_event_ends_where_the_process_was_away_for_long(
    killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporter_module, "CONTINUED", -1.0)
    camera = reporter(killed, live=True, continues=True)
    assert camera.open == {}
    assert [line["state"] for line in lines(killed)][2:] == ["begin", "end"]
    assert lines(killed)[3]["end_frame"] == 40  # as far as its last report knew


def test_an_event_whose_end_was_not_written_ends_at_the_restart(killed: Path) -> None:
    state = json.loads((killed / "state.json").read_text())
    state["open"][0]["state"] = "end"  # killed before its line
    (killed / "state.json").write_text(json.dumps(state))
    assert reporter(killed, live=True, continues=True).open == {}
    assert [line["state"] for line in lines(killed)][2:] == ["begin", "end"]


def test_a_stopped_process_leaves_its_event_to_the_next(tmp_path: Path) -> None:
    camera = reporter(tmp_path, live=True, continues=True)
    watch(camera, range(3), 2.0)
    assert camera.close() == []
    assert list(reporter(tmp_path, live=True, continues=True).open) == ["anomaly"]


@pytest.mark.parametrize("damage", ["", "{", '{"number": "many"}', "[]", "\x00"])
def test_a_damaged_state_is_a_warning(
    damage: str, killed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (killed / "state.json").write_text(damage)
    assert reporter(killed, live=True, continues=True).open == {}
    assert "state.json: this state cannot be read (it is damaged)" in caplog.text


def test_a_clock_that_is_set_back_loses_nothing(killed: Path) -> None:
    state = json.loads((killed / "state.json").read_text())
    later = datetime.fromisoformat(state["time"]) + timedelta(hours=1)
    (killed / "state.json").write_text(json.dumps(state | {"time": later.isoformat()}))
    camera = reporter(killed, live=True, continues=True)
    watch(camera, range(4, 5), 2.0)
    assert camera.open["anomaly"].id == lines(killed)[2]["id"]
    camera.interrupt(Interruption(2.0, "off"))
    assert [line["state"] for line in lines(killed)][3:] == ["end", "begin"]


class HourBack(datetime):
    """A clock that was set back an hour."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
        return datetime.now(tz) - timedelta(hours=1)


class Received:
    """Stands for a delivery."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def put(self, report: Report) -> None:
        self.reports.append(report)


def test_a_clock_that_is_set_back_in_an_event_changes_no_order_age_or_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = Received()
    notifier = Notifier([received], cooldown=1000, most_per_hour=9)  # type: ignore[list-item]
    camera = reporter(
        tmp_path, live=True, notifier=notifier, keeping=Keeping(True, 1.0, days=0.02, gigabytes=1)
    )
    watch(camera, range(3), 2.0)
    now = time.time()
    for module in (reporter_module, moments_module):
        monkeypatch.setattr(module, "datetime", HourBack)
    monkeypatch.setattr(event_files_module.time, "time", lambda: now - 3600)
    watch(camera, range(3, 5), 2.0)
    watch(camera, range(5, 40), 0.0)
    watch(camera, range(40, 44), 5.0)
    camera.close()
    found = lines(tmp_path)
    assert [(line["state"], line["id"].rpartition("-")[2]) for line in found] == [
        ("begin", "1"), ("end", "1"), ("begin", "2"), ("end", "2")
    ]  # fmt: skip
    assert [line["end_seconds"] for line in found] == [0.0, 0.8, 8.0, 8.6]
    assert found[1]["end_time"] < found[0]["start_time"]
    assert all(Path(line["snapshot"]).exists() and Path(line["clip"]).exists() for line in found)
    assert [report.id for report in received.reports] == [found[0]["id"]] * 2


class Conditions:
    """Conditions of frames that are known."""

    def __init__(self, kinds: dict[range, str]) -> None:
        self._kinds = kinds

    def add(self, rgb: np.ndarray, seconds: float) -> Condition | None:
        frame = round(seconds * FPS)
        kinds = (kind for frames, kind in self._kinds.items() if frame in frames)
        return next((Condition("black", f"it is {kind}") for kind in kinds), None)


def test_a_condition_is_an_event_during_which_no_anomaly_is_reported(tmp_path: Path) -> None:
    found = Conditions({range(3, 7): "black", range(7, 8): "frozen"})
    camera = reporter(tmp_path, conditions=found)
    watch(camera, range(3), 2.0)
    watch(camera, range(3, 7), 5.0)
    watch(camera, range(7, 10), 2.0)
    camera.close()
    assert [(r["kind"], r["state"], r["start_frame"], r["reason"]) for r in lines(tmp_path)] == [
        ("anomaly", "begin", 0, None),
        ("anomaly", "end", 0, None),
        ("condition", "begin", 3, "it is black"),
        ("condition", "end", 3, "it is black"),
        ("condition", "begin", 7, "it is frozen"),
        ("condition", "end", 7, "it is frozen"),
        ("anomaly", "begin", 8, None),
        ("anomaly", "end", 8, None),
    ]
    assert camera.held_back == 5


def test_an_event_is_reported_from_its_shortest_duration_on(tmp_path: Path) -> None:
    camera = reporter(tmp_path, shortest=1.0)
    watch(camera, range(5), 2.0)  # 0.8 seconds
    watch(camera, range(5, 40), 0.5)
    watch(camera, range(40, 46), 2.0)
    camera.close()
    assert short(tmp_path) == [("anomaly", "begin", 40, 45), ("anomaly", "end", 40, 45)]


def test_a_camera_that_rests_has_no_event_that_lasts(tmp_path: Path) -> None:
    camera = reporter(tmp_path)
    watch(camera, range(3), 2.0)
    camera.rest()
    assert camera.open == {}
    assert camera.rest() == []
    watch(camera, range(3, 5), 2.0)
    assert short(tmp_path) == [
        ("anomaly", "begin", 0, 0), ("anomaly", "end", 0, 2), ("anomaly", "begin", 3, 3),
    ]  # fmt: skip
