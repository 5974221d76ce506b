"""Use the memory and the cores of the machine well."""

import ctypes
import logging
import os
import sys

import psutil
import torch
from lightning_fabric.utilities.rank_zero import rank_zero_only

# As glibc's malloc.h numbers them.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
# Cores that other processes keep busy all the time; less passes.
BUSY = 0.5
SECONDS = 0.3  # of looking

log = logging.getLogger(__name__)


def keep_freed_memory() -> None:
    """Have the process keep freed memory, instead of giving it back to the system.

    glibc maps each large tensor and unmaps it when it is freed, and the system clears all its pages
    again in every step. With another C library this does nothing.

    Source: mallopt(3). Effect: ``experiments/benchmarks/kept_memory.py``.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)  # never


@rank_zero_only
def warn_of_busy_cores() -> None:
    """Recommend fewer threads where other processes keep cores busy.

    Threads that share a computation wait for the slowest, and that one for a core. The number does
    not change by itself: sums of another number of threads differ in their last bits, and so would
    the results of a command.

    Effect: ``experiments/benchmarks/waiting_threads.py``.
    """
    cores = os.cpu_count() or 1
    busy = _busy_elsewhere(cores)
    free = max(1, int(cores - busy))
    if "OMP_NUM_THREADS" not in os.environ and busy >= BUSY and torch.get_num_threads() > free:
        log.warning(
            "Other processes keep %.1f of %d cores busy, and %d threads wait for one another then: "
            "stop the others, or begin this command with OMP_NUM_THREADS=%d, which can be many "
            "times as fast.",
            busy, cores, torch.get_num_threads(), free,
        )  # fmt: skip


def _busy_elsewhere(cores: int) -> float:
    """Measure how many cores other processes keep busy."""
    own = psutil.Process()
    before = own.cpu_times()
    everything = psutil.cpu_percent(interval=SECONDS) / 100 * cores
    after = own.cpu_times()
    return everything - (after.user + after.system - before.user - before.system) / SECONDS
