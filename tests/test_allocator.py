"""What is freed stays with the process: the system has no page to clear for what comes next."""

import subprocess
import sys
from platform import libc_ver

import pytest

PAGES = """
import resource, torch
from memguard.allocator import keep_freed_memory

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
def test_what_is_freed_needs_no_new_pages() -> None:
    ran = subprocess.run([sys.executable, "-c", PAGES], capture_output=True, text=True, check=True)
    returned, kept = map(int, ran.stdout.split())
    # As huge pages a system that does so unasked has 128 of them.
    assert returned >= 128
    assert kept < returned / 16
