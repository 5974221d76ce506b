"""The output of a stream is on disk, even if the disk is full or its folder goes away."""

import collections
import csv
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from memguard.detection.events import EventStream, Moment, ScoredPicture
from memguard.errors import DataError
from memguard.live.events.event_files import EventFiles, Keeping
from memguard.live.events.reporter import EventReporter
from memguard.live.notify.notifier import Notifier
from memguard.live.output import STOPPED, WHOLE, StreamOutput, Summary, print_summaries
from memguard.report import rows as rows_module

NO_PICTURES = Keeping(snapshots=False, clip=None, days=1, gigabytes=1)


def output(folder: Path, *, annotate: bool = False, **counts: int) -> StreamOutput:
    """The output of a stream whose alarm begins above 1."""
    stream = SimpleNamespace(**{"name": "door", "fps": 25.0, "dropped": 0, "torn": 0} | counts)
    alarm = SimpleNamespace(error=lambda level: 0.1, sample_counts=(100, 30))
    reporter = EventReporter(
        "door", folder, EventStream(level=1.0), per_hour=lambda score: 0.5, live=False,
        files=EventFiles(folder / "events", NO_PICTURES), notifier=Notifier(),
    )  # fmt: skip
    return StreamOutput(folder, stream, alarm, 1.0, annotate, reporter)  # type: ignore[arg-type]


def picture(number: int) -> ScoredPicture:
    """Every fortieth frame is an event of its own."""
    score = 3.0 if number % 40 == 0 else 0.25
    random = torch.Generator().manual_seed(number)
    rgb = torch.randint(256, (3, 48, 64), generator=random, dtype=torch.uint8).numpy()
    return ScoredPicture(
        Moment(number, number / 25), score, 30.0, 0.5, 0.25, False, (1, 2, 3, 4), rgb,
        np.zeros((8, 8), np.float32),
    )  # fmt: skip


def files_of(folder: Path) -> tuple[list[dict[str, str]], dict[str, Any]]:
    with (folder / "scores.csv").open(newline="") as file:
        return list(csv.DictReader(file)), json.loads((folder / "events.json").read_text())


def fill(folder: Path, *, but: int = 0) -> None:
    disk = os.statvfs(folder)
    (folder / "filler").write_bytes(bytes(disk.f_bavail * disk.f_frsize - but))


def test_events_have_not_ended_from_the_beginning(tmp_path: Path) -> None:
    output(tmp_path)  # and then it is killed
    rows, events = files_of(tmp_path)
    assert (rows, events["ended"], events["frames"]) == ([], "not ended", 0)


def test_frames_that_are_not_scored_are_counted(tmp_path: Path) -> None:
    output(tmp_path, dropped=7, torn=3).close()
    _, events = files_of(tmp_path)
    assert (events["dropped_frames"], events["torn_frames"]) == (7, 3)


def test_an_event_that_has_not_ended_counts(tmp_path: Path) -> None:
    found = output(tmp_path)
    counts = []
    for number in (0, 1, 39, 40):  # the first event ends only when the second begins
        found.add(picture(number))
        counts.append(found.count)
    found.close()
    assert (counts, found.summary().events) == ([1, 1, 1, 2], 2)


def test_names_with_brackets_are_printed_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run [red]" / "x[" / "]"  # rich ends a style that never began at [/]
    folder.mkdir(parents=True)
    (folder / "events.json").touch()
    print_summaries([Summary("a[b]", 0, 0, float("nan"), 1.5, WHOLE)], folder)
    said = capsys.readouterr().out
    assert str(folder / "events.json") in said
    assert [cell.strip() for cell in said.splitlines()[4].split("│")[1:6]] == [
        "a[b]", "0", "0", "–", "1.50",
    ]  # fmt: skip


def test_no_table_is_printed_where_no_stream_was_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    print_summaries([], tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("annotate", [False, True])
def test_a_full_disk_is_one_sentence_and_all_before_it_is_kept(
    small_disk: Path, annotate: bool
) -> None:
    folder = small_disk / "run"
    stream = output(folder, annotate=annotate)
    for number in range(61):
        stream.add(picture(number))
    fill(small_disk, but=5000)
    rest = map(stream.add, map(picture, range(61, 20_000)))
    with pytest.raises(DataError, match=r"run/\S+: .*\(No space left on device\)") as full:
        collections.deque(rest, maxlen=0)
    stream.ended = str(full.value)
    stream.close()
    rows, events = files_of(folder)
    assert len(rows) in (events["frames"], events["frames"] + 1)
    assert 60 < len(rows) < 20_000
    assert [int(row["frame"]) for row in rows] == list(range(len(rows)))  # none is torn
    assert len(events["events"]) == -(-events["frames"] // 40)
    assert events["ended"] == str(full.value)
    assert (folder / "timeline.png").stat().st_size > 1000
    assert "\n" not in str(full.value)


def test_where_nothing_can_be_written_at_the_end_the_end_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = output(tmp_path)
    for number in range(50):
        stream.add(picture(number))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as disk:
        disk.setattr("memguard.live.output.written_whole", full)
        stream.ended = STOPPED
        stream.close()
    assert "events.json: this file cannot be written (No space left" in stream.ended
    rows, events = files_of(tmp_path)
    assert (len(rows), events["ended"]) == (50, "not ended")


def test_a_timeline_that_cannot_be_drawn_is_named_in_the_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = output(tmp_path)
    stream.add(picture(0))
    (tmp_path / "timeline.png").mkdir()
    stream.ended = WHOLE
    stream.close()
    assert "timeline.png: this file cannot be written (Is a directory)" in stream.ended
    assert files_of(tmp_path)[1]["ended"] == stream.ended


@pytest.mark.parametrize("how", [shutil.rmtree, lambda folder: folder.rename(f"{folder}2")])
def test_a_folder_that_is_taken_away_is_one_sentence(tmp_path: Path, how: Any) -> None:
    stream = output(tmp_path / "run")
    stream.add(picture(0))
    how(tmp_path / "run")
    with pytest.raises(DataError, match=r"run/scores\.csv: this file was moved or removed"):
        stream.add(picture(1))
    stream.close()
    assert not (tmp_path / "run").exists()


def test_scores_of_another_command_are_not_cut(tmp_path: Path) -> None:
    first = output(tmp_path)
    for number in range(3):
        first.add(picture(number))
    with pytest.raises(DataError, match=r"scores\.csv is there already"):
        output(tmp_path)
    first.add(picture(3))
    assert len(files_of(tmp_path)[0]) == 4


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/run/scores\.csv: .*\(Not a directory\); make room"):
        output(tmp_path / "file" / "run")


def test_a_disk_without_room_for_the_end_is_refused_at_the_beginning(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_module, "RESERVED_BYTES", 4 * 2**20)
    with pytest.raises(DataError, match=r"scores\.csv: .*\(No space left on device\)"):
        output(small_disk)
    assert list(small_disk.iterdir()) == []
