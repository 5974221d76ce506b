"""Commands as forked processes: what takes seconds to import is imported once.

``python -m tests.end_to_end.forked`` reads a line of JSON for each group of commands, becomes each
of them in a process of its own, and writes their exit codes as a line of JSON.
"""

import atexit
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

SECONDS = 300  # a command that takes longer is killed


class Command(NamedTuple):
    """A module of memguard and its words, and where it runs and writes."""

    module: str
    words: Sequence[str]
    folder: str
    variables: dict[str, str]
    output: str
    errors: str


def run_forked(*commands: Command) -> list[int]:
    """Run commands that start together; return their exit codes, −N where signal N ended one."""
    server = _server()
    assert server.stdin
    assert server.stdout
    server.stdin.write(json.dumps(commands) + "\n")
    server.stdin.flush()
    codes: list[int] = json.loads(server.stdout.readline())
    return codes


@cache
def _server() -> "subprocess.Popen[str]":
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.end_to_end.forked"],
        cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    atexit.register(server.kill)
    return server


def _become(command: Command) -> None:
    """Be the command, as ``python -m`` in its folder is."""
    signal.alarm(SECONDS)
    os.chdir(command.folder)
    os.environ.clear()
    os.environ.update(command.variables)
    sys.path[0], sys.argv[1:] = os.getcwd(), command.words
    new = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path, how in (
        (0, os.devnull, os.O_RDONLY), (1, command.output, new), (2, command.errors, new),
    ):  # fmt: skip
        os.dup2(os.open(path, how, 0o600), number)
    runpy.run_module(f"memguard.{command.module}", run_name="__main__", alter_sys=True)
    sys.exit()


def _serve() -> None:
    import memguard.live.recording
    import memguard.training.experiment  # noqa: F401

    for line in sys.stdin:
        children = []
        for fields in json.loads(line):
            child = os.fork()
            if child == 0:
                _become(Command(*fields))
            children.append(child)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        _serve()
