"""Shared by tests of whole commands: a small trained network, and several commands at once."""

import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import moving_square, write_video
from tests.end_to_end.forked import Command, run_forked

SMALL = [
    "dataset=folder", "model=mnad_tiny", "model.width=4", "memory.dim=32", "memory.size=4",
    "data.frame_size=32", "data.threads=1", "data.holdout=0.4", "trainer.max_epochs=2",
    "logger=csv",
]  # fmt: skip


def run_command(
    module: str, *words: str, folder: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command in a folder; give how it ended and what it wrote."""
    folder.mkdir(exist_ok=True, parents=True)
    variables = dict(os.environ if environment is None else environment)
    with tempfile.TemporaryDirectory() as name:
        output, errors = Path(name) / "output.txt", Path(name) / "errors.txt"
        command = Command(module, words, str(folder), variables, str(output), str(errors))
        (code,) = run_forked(command)
        texts = output.read_text(), errors.read_text()
    return subprocess.CompletedProcess([module, *words], code, *texts)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that has seen the square go slowly, and never jump back to where it began."""
    root, folder = tmp_path_factory.mktemp("normal"), tmp_path_factory.mktemp("run")
    for number in range(2):
        write_video(root / "train" / f"{number}.mp4", moving_square(50, seed=number))
    done = run_command(
        "train", *SMALL, f"dataset.root={root}", f"hydra.run.dir={folder}", folder=folder
    )
    assert done.returncode == 0, done.stderr
    return folder / "checkpoints" / "last.ckpt"


class Ended(NamedTuple):
    """How a command ended: its status, and all that it wrote to both streams."""

    status: int
    said: str


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
    all_variables = dict(os.environ) | dict(variables or {})
    codes = run_forked(
        *(
            Command(module, words, str(folder), all_variables, str(output), str(output))
            for (module, words), output in zip(commands, outputs, strict=True)
        )
    )
    return [Ended(code, path.read_text()) for code, path in zip(codes, outputs, strict=True)]
