"""The machine: freed memory stays with the process, and busy cores are warned of."""

import os
import subprocess
import sys
from platform import libc_ver
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from memguard.training import machine
from memguard.training.machine import warn_of_busy_cores

PAGES = """
import resource, torch
from memguard.training.machine import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(2**24) for _ in range(4)]  # 64 MiB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
returned = faults()
keep_freed_memory()
for _ in range(8):  # until there is room enough between what stays
    kept = faults()
print(returned, kept)
"""


@pytest.mark.skipif(libc_ver()[0] != "glibc", reason="another C library has another allocator")
def test_freed_memory_needs_no_new_pages() -> None:
    ran = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    returned, kept = map(int, ran.stdout.split())
    # As huge pages a system that does so unasked has 128 of them.
    assert returned >= 128
    assert kept < returned / 16


def look_at(
    monkeypatch: pytest.MonkeyPatch, percent: float, own_seconds: float, threads: int = 4
) -> None:
    """Have four cores busy to this percentage, with so many seconds of this process."""
    # User and system time, before and after.
    times = iter([(7.0, 2.0), (7.0 + own_seconds / 3, 2.0 + own_seconds * 2 / 3)])

    class Own:
        def cpu_times(self) -> Any:
            user, system = next(times)
            return SimpleNamespace(user=user, system=system)

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(machine.psutil, "Process", Own)
    monkeypatch.setattr(machine.psutil, "cpu_percent", lambda interval: percent)


def test_busy_cores_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look_at(monkeypatch, percent=62.5, own_seconds=0.3)  # 2.5 cores, 1 by this process
    warn_of_busy_cores()
    assert "keep 1.5 of 4 cores busy, and 4 threads" in caplog.text
    assert "OMP_NUM_THREADS=2," in caplog.text


def test_one_thread_is_the_least(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    look_at(monkeypatch, percent=100, own_seconds=0)
    warn_of_busy_cores()
    assert "OMP_NUM_THREADS=1," in caplog.text


@pytest.mark.parametrize(
    ("percent", "own_seconds", "threads", "variables"),
    [
        (35, 0.3, 4, {}),  # 1.4 cores, 1 by this process
        (62.5, 0.3, 2, {}),  # as many threads as cores are free
        (62.5, 0.3, 4, {"OMP_NUM_THREADS": "4"}),  # as the user has it
    ],
)
def test_nobody_is_warned_without_need(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    percent: float,
    own_seconds: float,
    threads: int,
    variables: dict[str, str],
) -> None:
    look_at(monkeypatch, percent, own_seconds, threads)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    warn_of_busy_cores()
    assert not caplog.text


def test_a_process_beside_is_seen() -> None:
    beside = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        # As much of a core as the machine gives it.
        assert max(machine._busy_elsewhere(os.cpu_count() or 1) for _ in range(5)) > 0.3
    finally:
        beside.kill()
