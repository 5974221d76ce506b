"""A process that is killed in an event: its files are whole, and the next process continues."""

import json
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import av

from memguard.data.video.stream import Interruption
from memguard.detection.events import EventStream
from memguard.files import _scratch
from memguard.live.events.event_files import EventFiles, Keeping
from memguard.live.events.reporter import EventReporter
from memguard.live.notify.notifier import Notifier
from tests.live.conftest import scored

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
