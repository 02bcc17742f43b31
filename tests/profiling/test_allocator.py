"""Held memory: the kernel's own count of page faults, in processes of their own, because nothing undoes the setting."""

import ctypes
import os
import subprocess
import sys

import pytest

from latpred.profiling import allocator
from latpred.profiling.allocator import hold_memory

COUNT = """
import ctypes, resource, runpy, sys

if len(sys.argv) > 1:  # by its path: importing the package imports PyTorch
    assert runpy.run_path(sys.argv[1])["hold_memory"]() == "held"
SIZES = [1 << 20, 3 << 20, *[24 << 20] * 4]  # bytes, 100 MB; glibc maps each by itself, if left alone
c = ctypes.CDLL(None)
c.malloc.restype, c.malloc.argtypes, c.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def once():
    blocks = [c.malloc(size) for size in SIZES]
    for block, size in zip(blocks, SIZES):
        ctypes.memset(block, 1, size)
    for block in blocks:
        c.free(block)

once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    once()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*arguments):
    """Page faults of five rounds that take and free 100 MB, after a first one."""
    # Otherwise glibc raises its threshold for mapping by itself, here to 24 MB, and no larger block tells.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    command = [sys.executable, "-c", COUNT, *map(str, arguments)]
    return int(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="another C library than glibc")
def test_freed_memory_comes_back_without_page_faults():
    assert page_faults(allocator.__file__) < 50
    assert page_faults() > 5 * 100 * 256 / 2  # pages of 4 kB; larger ones are half of them at the least


@pytest.mark.parametrize("library", [object(), type("Refusing", (), {"mallopt": staticmethod(lambda *pair: 0)})()])
def test_another_c_library_holds_what_it_likes(monkeypatch, library):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert hold_memory() == "unknown"
