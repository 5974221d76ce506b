"""Shared by tests of whole commands: a small trained network, and several commands at once."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import moving_square, write_video

SMALL = [
    "dataset=folder", "model=mnad_tiny", "model.width=4", "memory.dim=32", "memory.size=4",
    "data.frame_size=32", "data.threads=1", "data.holdout=0.4", "trainer.max_epochs=2",
    "logger=csv",
]  # fmt: skip


def run(module: str, *overrides: str, folder: Path) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True, parents=True)
    return subprocess.run(
        [sys.executable, "-m", f"memguard.{module}", *overrides, f"hydra.run.dir={folder}"],
        cwd=folder, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has seen the square go slowly, and never jump back to where it began."""
    root, folder = tmp_path_factory.mktemp("normal"), tmp_path_factory.mktemp("run")
    for number in range(2):
        write_video(root / "train" / f"{number}.mp4", moving_square(50, seed=number))
    done = run("train", *SMALL, f"dataset.root={root}", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "checkpoints" / "last.ckpt"


class Ended(NamedTuple):
    """How a command ended: its status, and all that it wrote to both streams."""

    status: int
    said: str


# Imports what takes seconds once, then becomes each of the commands.
FORKING = """
import json, os, runpy, signal, sys
import memguard.training.experiment, memguard.live.watch

commands, children = json.load(sys.stdin), []
for module, words, variables, output in commands:
    child = os.fork()
    if child == 0:
        signal.alarm(120)  # kills it
        os.environ.update(variables)
        for stream in (1, 2):
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), stream)
        sys.argv[1:] = words
        runpy.run_module(f"memguard.{module}", run_name="__main__", alter_sys=True)
        sys.exit()
    children.append(child)
codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
json.dump(codes, sys.stdout)
"""


def run_together(
    folder: Path, module: str, *commands: Sequence[str], variables: Mapping[str, str] | None = None
) -> list[Ended]:
    """Run commands of a module that all start in the same moment; give how each ended."""
    return run_modules(folder, *((module, words) for words in commands), variables=variables)


def run_modules(
    folder: Path,
    *commands: tuple[str, Sequence[str]],
    variables: Mapping[str, str] | None = None,
) -> list[Ended]:
    """Run commands, each a module and its words, that start together; give how each ended."""
    folder.mkdir(exist_ok=True, parents=True)
    outputs = [folder.parent / f"{folder.name}_{number}.txt" for number in range(len(commands))]
    content = [
        (module, list(words), dict(variables or {}), str(output))
        for (module, words), output in zip(commands, outputs, strict=True)
    ]
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        cwd=folder, input=json.dumps(content), capture_output=True, text=True, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True,
    )  # fmt: skip
    codes = json.loads(done.stdout)
    return [Ended(code, path.read_text()) for code, path in zip(codes, outputs, strict=True)]
