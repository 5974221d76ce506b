"""A process that is killed in an event: its files are whole, and the next process continues."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from threading import Event

import av
import pytest

from memguard.data.video.stream import Interruption
from memguard.detection.events import EventStream, ScoredPicture
from memguard.files import _scratch
from memguard.live.cameras.stored import StoredBackground
from memguard.live.conditions import ConditionWatch
from memguard.live.events.event_files import EventFiles, Keeping
from memguard.live.events.reporter import EventReporter
from memguard.live.notify.notifier import Notifier
from memguard.live.standing import Background, StandingWatch
from tests.live.conftest import scored
from tests.live.events.test_reporter import age
from tests.live.test_conditions import film, learned, rgb
from tests.live.test_standing import PATCH, SIZE, calibrated, with_square

ROOT = Path(__file__).parents[3]


def camera(folder: Path) -> EventReporter:
    files = EventFiles(folder / "events", Keeping(True, clip=1.0, days=1, gigabytes=1))
    return EventReporter(
        "door", folder, EventStream(1.0), lambda score: 1 / score, files, Notifier(),
        live=True, continues=True,
    )  # fmt: skip


def watch(folder: Path) -> None:
    """Watch an anomaly without end."""
    reporter = camera(folder)
    for frame in count():
        reporter.add(scored(frame, 1.0 + frame))


def test_no_event_is_lost_or_doubled_by_a_kill(tmp_path: Path) -> None:
    code = f"from pathlib import Path; from {__name__} import watch; watch(Path({str(tmp_path)!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        until = time.monotonic() + 120
        while (
            not (clips := list(tmp_path.glob("events/*.mp4"))) or clips[0].stat().st_size < 50_000
        ):
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    with av.open(str(clips[0])) as clip:
        assert len(list(clip.decode(video=0))) > 5
    unfinished = tmp_path / "events" / f"{_scratch(process.pid)}snapshot"
    unfinished.mkdir()
    continued = camera(tmp_path)
    assert not unfinished.exists()
    continued.add(scored(0, 9.0))
    continued.interrupt(Interruption(1.0, "off"))
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines] == ["begin", "end", "begin"]
    assert lines[0]["id"] == lines[1]["id"] != lines[2]["id"]
    assert Path(lines[1]["snapshot"]).stat().st_size > 0


FPS, EVENT, ABSENT = 5, 200, 33.0


def each_kind(kind: str, folder: Path) -> tuple[EventReporter, StoredBackground]:
    """The reporter of a camera of five frames a second, and its background."""
    standing, conditions, background = None, None, Background(SIZE, PATCH)
    stored = StoredBackground(folder / "background.npz", background)
    if kind == "standing":
        standing = StandingWatch(background, calibrated(), 1, FPS, longest=600)
        standing.stream.level = 5.0
    if kind == "condition":
        conditions = ConditionWatch(learned(), FPS)
    files = EventFiles(folder / "events", Keeping(True, clip=1.0, days=1, gigabytes=1))
    reporter = EventReporter(
        "door", folder, EventStream(1.0), lambda score: 1 / score, files, Notifier(),
        live=True, conditions=conditions, standing=standing, continues=True,
    )  # fmt: skip
    return reporter, stored


def frames(kind: str, begin: int, end: int, score: float) -> Iterator[ScoredPicture]:
    """Frames in an event of a kind, the 40th with a higher score; a score of 0: before it."""
    for frame in range(begin, end):
        own = (score + 2 * (frame == begin + 40)) if kind == "anomaly" else 0.0
        picture = scored(frame, own, FPS)
        if kind == "standing":
            picture = picture._replace(rgb=with_square(50 + round(30 * score)))
        if kind == "condition":
            seen = rgb(film(20, seed=2)[frame % 20])
            picture = picture._replace(rgb=seen * (score == 0))
        yield picture


def watch_until_signal(kind: str, folder: Path) -> None:
    """Watch what is normal, then 40 seconds of an event, then nothing until SIGTERM."""
    stopped = Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    reporter, stored = each_kind(kind, folder)
    before = 130 * FPS if kind == "standing" else 10
    for picture in frames(kind, 0, before, 0.0):
        reporter.add(picture)
    stored.save()
    for picture in frames(kind, before, before + EVENT, 3.0):
        reporter.add(picture)
    (folder / "ready").touch()
    stopped.wait(120)
    reporter.close()
    stored.save()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("kind", ["anomaly", "standing", "condition"])
def test_an_event_of_each_kind_is_one_through_a_restart(
    kind: str, number: signal.Signals, tmp_path: Path
) -> None:
    code = (
        f"from pathlib import Path; from {__name__} import watch_until_signal as watch; "
        f"watch({kind!r}, Path({str(tmp_path)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        until = time.monotonic() + 120
        while not (tmp_path / "ready").exists():
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(number)
        process.wait()
    age(tmp_path, ABSENT)
    continued, _ = each_kind(kind, tmp_path)
    for picture in frames(kind, 4, 84, 2.0):
        continued.add(picture)
    continued.interrupt(Interruption(16.6, "off"))
    lines = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    own = [line for line in lines if line["kind"] == kind]
    begin, *_, end = own
    assert [line["state"] for line in own if line["state"] != "ongoing"] == ["begin", "end"]
    assert {line["id"] for line in own} == {begin["id"]}
    assert end["start_seconds"] == begin["start_seconds"]
    lasted = end["end_seconds"] - end["start_seconds"]
    assert 30 + ABSENT + 16 <= lasted <= 40 + ABSENT + 60  # and the time that the restart took
    if kind == "anomaly":
        assert (end["peak_frame"], end["peak_score"]) == (begin["start_frame"] + 40, 5.0)
    if kind == "standing":  # the mean of eight seconds takes as long to reach its peak
        assert end["peak_score"] > 2 * begin["peak_score"]
        assert end["peak_seconds"] - begin["start_seconds"] == pytest.approx(8, abs=2)
