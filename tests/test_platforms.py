"""memguard runs where a platform lacks what Linux has."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import pytest

import memguard

ROOT = Path(__file__).parents[1]
# The tests of the modules that use what other platforms lack.
OF_PLATFORMS = [
    "tests/test_files.py",
    "tests/test_platforms.py::test_every_module_is_imported",
    "tests/training/test_provenance.py",
    "tests/training/callbacks/test_preemption.py",
    "tests/live/notify/test_command.py",
    "tests/data/video/test_reader.py",
]


def test_every_module_is_imported() -> None:
    modules = walk_packages(memguard.__path__, "memguard.")
    # A command's own module would hide the function of its name: memguard.train.
    names = [each.name for each in modules if each.ispkg or each.name.count(".") > 1]
    assert len(names) > 200
    for name in names:
        import_module(name)


@pytest.mark.slow
def test_what_windows_lacks_is_not_needed() -> None:
    plugins = ["-p", "tests.without_posix", "-p", "no:xdist"]
    # A forked child needs os.register_at_fork, where there is a fork.
    command = ["-m", "pytest", "-q", *plugins, "-k", "not fork"]
    done = subprocess.run(
        [sys.executable, *command, *OF_PLATFORMS], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout
