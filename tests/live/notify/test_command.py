"""A program reads each report from its input."""

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from memguard.data.video.addresses import VARIABLE
from memguard.errors import ConfigError
from memguard.live.notify import command as command_module
from memguard.live.notify.command import Command
from memguard.live.notify.delivery import RefusedError
from tests.live.notify.conftest import report


def is_dead(number: int) -> bool:
    """Tell whether a process has ended, though perhaps nobody has collected it."""
    try:
        return psutil.Process(number).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def python(code: str, *words: str) -> Command:
    return Command([sys.executable, "-c", code, *words])


def test_a_program_gets_the_report_and_its_words_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, '{"rtsp://***@door": "rtsp://ann:secret@door"}')
    code = (
        "import json, os, sys; report = json.load(sys.stdin); "
        f"seen = [report['id'], sys.argv[2:], {VARIABLE!r} in os.environ]; "
        "json.dump(seen, open(sys.argv[1], 'w'))"
    )
    out = tmp_path / "out.json"
    python(code, str(out), "$HOME; touch x", "*").send(report(3))
    assert json.loads(out.read_text()) == ["door-3", ["$HOME; touch x", "*"], False]


def test_a_program_that_fails_or_is_missing_is_an_error() -> None:
    with pytest.raises(RefusedError, match=r"^its exit status is 3$"):
        python("raise SystemExit(3)").send(report())
    with pytest.raises(ConfigError, match=r"^notify\.command=/nowhere/alarm cannot work"):
        Command(["/nowhere/alarm"])
    python("import os; os.close(0)").send(report())  # it need not read


def test_a_program_that_does_not_end_is_killed_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_module, "SECONDS", 1.0)
    code = (
        "import subprocess, sys, time; "
        "child = subprocess.Popen(['sleep', '60']); "
        "open(sys.argv[1], 'w').write(str(child.pid)); time.sleep(60)"
    )
    began = time.monotonic()
    with pytest.raises(RefusedError, match=r"^it ran for 1 s, and was killed$"):
        python(code, str(tmp_path / "pid")).send(report())
    assert time.monotonic() - began < 10
    child = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 5
    while not is_dead(child):
        assert time.monotonic() < until
        time.sleep(0.01)
