"""Provenance: the command, code and machine behind every figure, to reproduce it."""

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

PACKAGE = Path(__file__).parents[1]
DISTRIBUTION = "memguard-vad"
PACKAGES = (
    "torch",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "decord2",
    "decord",  # which decord2 is a fork of; some machines have that
    "av",
)


def _commit(package: Path = PACKAGE) -> str:
    """Name the commit of the checkout that the code runs from, marked if it was changed since.

    A package that is installed may lie in the checkout of something else, whose commit says nothing
    about it: the commit counts only where the package is that checkout's own source.

    Args:
        package: The folder of the code.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(package), *arguments],
            env=_without_git(os.environ),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    try:
        own = Path(git("rev-parse", "--show-toplevel")).resolve() / "src" / "memguard"
        git("ls-files", "--error-unmatch", "--", "__init__.py")
        if own == package.resolve():
            changed = git("status", "--porcelain", "--", ":/src", ":/conf")
            return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        pass  # no git, no checkout, or not tracked by it
    return "unknown: memguard does not run from its own git checkout"


def _without_git(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out the variables with which git's hooks point at their own repository."""
    return {name: value for name, value in environment.items() if not name.startswith("GIT_")}


def _machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [
            line.split(":")[1].strip()
            for line in cpuinfo.read_text(encoding="utf-8").splitlines()
            if "model name" in line
        ]
        if cpuinfo.exists()
        else [platform.processor()]
    )
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def _peak_memory_gib() -> float:
    """Measure the largest resident set of this process so far."""
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:  # Windows
        memory = psutil.Process().memory_info()
        return round(getattr(memory, "peak_wset", memory.rss) / 2**30, 2)
    unit = 2**30 if sys.platform == "darwin" else 2**20  # in bytes there, in KiB on Linux
    return round(getrusage(RUSAGE_SELF).ru_maxrss / unit, 2)


class Provenance:
    """Record the command, code and machine at the start, and time and memory at the end."""

    def __init__(self, seed: int) -> None:
        self._began = time.monotonic()
        self._start = {
            "command": shlex.join(["python", "-m", *_module_and_arguments()]),
            "seed": seed,
            "commit": _commit(),
            "machine": _machine(),
            "threads": torch.get_num_threads(),
            "versions": _versions(),
        }

    def finish(self) -> dict[str, Any]:
        """Give everything that was noted, with ``minutes`` and ``peak_memory_gib`` so far."""
        return self._start | {
            "minutes": round((time.monotonic() - self._began) / 60, 2),
            "peak_memory_gib": _peak_memory_gib(),
        }


def _versions() -> dict[str, str]:
    """Name the version of each package that results depend on, if it is there."""
    versions = {}
    for name in (DISTRIBUTION, *PACKAGES):
        with suppress(PackageNotFoundError):
            versions["memguard" if name == DISTRIBUTION else name] = version(name)
    return versions


def _module_and_arguments() -> list[str]:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return [spec.name if spec else sys.argv[0], *sys.argv[1:]]
