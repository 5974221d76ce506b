"""The C library's allocator: what a training step frees, the next one asks for again."""

import ctypes
import sys

# As glibc's malloc.h numbers them.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Have the process keep what it frees, instead of giving it back to the system.

    glibc maps each large tensor anew and unmaps it when it is freed, so that the system clears all
    its pages over again in every step. Nothing changes where the C library is another one.

    Source: mallopt(3). What it is worth: ``experiments/benchmarks/kept_memory.py``.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)  # never
