"""Notifications by a program of the user's."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import which

import psutil

from memguard.data.video.addresses import VARIABLE
from memguard.errors import ConfigError
from memguard.live.notify.delivery import RefusedError
from memguard.live.reports import Report

SECONDS = 30.0


class Command:
    """Run a program for each report, with the line of ``events.jsonl`` as its input.

    No shell reads the words. Its output is discarded. It is killed after half a minute.

    Args:
        words: The program and its arguments.

    Raises:
        ConfigError: There is no such program.
    """

    def __init__(self, words: Sequence[str]) -> None:
        if which(words[0]) is None:
            raise ConfigError(
                f"notify.command={words[0]} cannot work: there is no such program; correct its "
                "path, and make it executable."
            )
        self.name = Path(words[0]).name
        self._words = list(words)

    def send(self, report: Report) -> None:
        """Run the program.

        Raises:
            RefusedError: It cannot be run, fails, or does not end.
        """
        inherited = {name: value for name, value in os.environ.items() if name != VARIABLE}
        try:
            process = subprocess.Popen(
                self._words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, env=inherited, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise RefusedError(getattr(error, "strerror", None) or str(error)) from None
        try:
            process.communicate(report.model_dump_json().encode() + b"\n", timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise RefusedError(f"it ran for {SECONDS:.0f} s, and was killed") from None
        finally:
            _end(process)
            process.wait()
        if process.returncode:
            raise RefusedError(f"its exit status is {process.returncode}")

    def close(self) -> None:
        """Do nothing: it has ended."""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and what it has started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return
    with suppress(psutil.NoSuchProcess):  # Windows has no groups of processes
        for started in psutil.Process(process.pid).children(recursive=True):
            started.kill()
    process.kill()
