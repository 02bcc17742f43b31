import ctypes
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from latpred.profiling.heap import bytes_in_use

needs_glibc = pytest.mark.skipif(bytes_in_use() is None, reason="the C library has no mallinfo2")


@needs_glibc
@pytest.mark.parametrize(("pieces", "size"), [(1, 8_000_000), (2000, 4000)])
def test_counts_what_is_allocated_large_or_small_and_no_more_when_it_is_freed(pieces, size):
    before = bytes_in_use()
    held = [np.ones(size, dtype=np.uint8) for _ in range(pieces)]
    during = bytes_in_use()
    held.clear()
    after = bytes_in_use()
    assert during - before == pytest.approx(8_000_000, rel=0.1)
    assert abs(after - before) < 400_000


@needs_glibc
def test_counts_what_other_threads_allocate():
    before, held = bytes_in_use(), []
    thread = threading.Thread(target=lambda: held.extend(np.ones(4000, dtype=np.uint8) for _ in range(2000)))
    thread.start()
    thread.join()
    assert bytes_in_use() - before == pytest.approx(8_000_000, rel=0.1)


@pytest.mark.parametrize("libc", [lambda _: SimpleNamespace(), None])
def test_without_the_function_nothing_is_made_up(monkeypatch, libc):
    def no_library(_):
        raise TypeError("bad argument type for built-in operation")  # as on Windows

    monkeypatch.setattr(ctypes, "CDLL", libc or no_library)
    assert bytes_in_use() is None
