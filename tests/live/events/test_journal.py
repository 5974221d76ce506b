"""The journal of a camera is whole lines, on a full disk and after a power cut."""

import json
import os
from pathlib import Path

import pytest

from memguard.live.events import journal as journal_module
from memguard.live.events.journal import Journal
from memguard.live.reports import Report


def report(number: int) -> Report:
    return Report(
        id=f"door-{number}", camera="door", kind="anomaly", state="begin",
        start_frame=0, start_seconds=0.0, end_frame=0, end_seconds=0.0,
    )  # fmt: skip


def numbers(path: Path) -> list[int]:
    return [int(json.loads(line)["id"].removeprefix("door-")) for line in path.open()]


def test_a_line_torn_by_a_power_cut_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    Journal(path).add(report(1))
    with path.open("a") as file:
        file.write('{"id": "door-2", "cam')
    Journal(path).add(report(3))
    assert numbers(path) == [1, 3]


def test_lines_wait_for_space_and_none_is_torn_or_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "events.jsonl"
    journal = Journal(path)
    journal.add(report(0))

    def full(file: object, line: bytes) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as disk:
        disk.setattr(journal_module, "_append", full)
        journal.add(report(1))
        journal.add(report(2))
        assert numbers(path) == [0]
    journal.add(report(3))
    assert numbers(path) == [0, 1, 2, 3]
    assert caplog.text.count("events.jsonl: this file cannot be written (No space left") == 1


def test_lines_that_are_lost_at_the_end_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(file: object, line: bytes) -> None:
        raise OSError(28, os.strerror(28))

    (tmp_path / "door").mkdir()
    journal = Journal(tmp_path / "door" / "events.jsonl")
    with monkeypatch.context() as disk:
        disk.setattr(journal_module, "_append", full)
        journal.add(report(1))
        journal.add(report(2))
        journal.close()
    assert "door/events.jsonl: this file cannot be written, so the last 2 reports" in caplog.text
    caplog.clear()
    journal.close()  # there is room again
    assert numbers(tmp_path / "door" / "events.jsonl") == [1, 2]
    assert caplog.text == ""


def test_half_a_line_on_a_full_disk_is_taken_back(small_disk: Path) -> None:
    path = small_disk / "events.jsonl"
    journal, filler = Journal(path), small_disk / "filler"
    journal.add(report(0))
    disk = os.statvfs(small_disk)
    filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize))
    for number in range(1, 21):  # the file's last block takes some of them
        journal.add(report(number))
    whole = numbers(path)
    assert whole == list(range(len(whole)))
    assert len(whole) < 20
    filler.unlink()
    journal.add(report(21))
    assert numbers(path) == list(range(22))
