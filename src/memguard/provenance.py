"""Where a number comes from: what stands beside every figure, so that it can be made again."""

import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("memguard", "torch", "pytorch-lightning", "torchmetrics", "hydra-core", "decord")


def _commit() -> str:
    """The commit of the checkout that this code runs from, with a mark if it was changed since."""
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", ":/src", ":/conf")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown: not run from a git checkout"


def _machine() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    cpuinfo = Path("/proc/cpuinfo")
    names = (
        [
            line.split(":")[1].strip()
            for line in cpuinfo.read_text().splitlines()
            if "model name" in line
        ]
        if cpuinfo.exists()
        else [platform.processor()]
    )
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def _peak_memory_gib() -> float:
    """The largest resident set of this process so far."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


class Provenance:
    """Notes the command, code and machine at the start, and what it took at the end."""

    def __init__(self, seed: int) -> None:
        self._began = time.monotonic()
        self._start = {
            "command": shlex.join(["python", "-m", *_module_and_arguments()]),
            "seed": seed,
            "commit": _commit(),
            "machine": _machine(),
            "versions": {name: version(name) for name in PACKAGES},
        }

    def finish(self) -> dict[str, Any]:
        """Give everything that was noted, with ``minutes`` and ``peak_memory_gib`` so far."""
        return self._start | {
            "minutes": round((time.monotonic() - self._began) / 60, 2),
            "peak_memory_gib": _peak_memory_gib(),
        }


def _module_and_arguments() -> list[str]:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    return [spec.name if spec else sys.argv[0], *sys.argv[1:]]
