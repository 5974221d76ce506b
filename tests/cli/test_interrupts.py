"""Ctrl-C ends a command without a traceback, with status 130, wherever it arrives."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memguard.cli.interrupts import INTERRUPTED, quietly_interrupted


def after_an_interrupt(status: int | str) -> None:
    """Exit within the handling of Ctrl-C, as Lightning does."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(status)


@pytest.fixture
def handler() -> Iterator[None]:
    """Restore the handler of Ctrl-C after a test."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("handler")
def test_lightnings_exit_after_an_interrupt_has_the_status_of_one() -> None:
    with pytest.raises(SystemExit) as ended, quietly_interrupted():
        after_an_interrupt(1)
    assert ended.value.code == INTERRUPTED == 130
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # pressed again, it ends nothing


@pytest.mark.usefixtures("handler")
def test_an_exit_without_an_interrupt_keeps_its_status_and_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as ended, quietly_interrupted():
        sys.exit(1)
    assert ended.value.code == 1
    assert signal.getsignal(signal.SIGINT) is before


# Runs a command in which something is replaced by Ctrl-C, pressed twice.
PRESSED = """
import os, runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

def press(name, *args, **kwargs):
    if isinstance(name, str) and name != "memguard.cli.commands":  # modules that load before it
        return
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)

{patch}
sys.argv[1:] = {words!r}
runpy.run_module("memguard.prepare", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    "patch",
    [
        "sys.meta_path.insert(0, type('Finder', (), {'find_spec': press}))",  # while modules load
        "from memguard.training import experiment; experiment.prepare_benchmark = press",
    ],
)
def test_an_interrupted_preparation_shows_no_traceback(
    patch: str, shared_scene: Path, tmp_path: Path
) -> None:
    words = ["dataset=folder", f"dataset.root={shared_scene}"]
    done = subprocess.run(
        [sys.executable, "-c", PRESSED.format(patch=patch, words=words)],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"MEMGUARD_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (INTERRUPTED, "")
