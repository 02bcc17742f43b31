"""What this process has allocated: the C allocator's own count."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any


class _Mallinfo2(ctypes.Structure):
    """`struct mallinfo2` of glibc's malloc.h, bytes and counts."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def bytes_in_use() -> int | None:
    """Return the bytes that are allocated at this moment, by all threads; None without glibc 2.33 or later.

    Every library of the process counts that takes its memory from glibc, PyTorch, ONNX Runtime and OpenVINO among
    them, and NumPy; Python's small objects do not. What was freed does not count, though the process may keep it.
    """
    read = _mallinfo2()
    if read is None:
        return None
    found = read()
    return int(found.uordblks + found.hblkhd)  # from the heaps, and mapped one by one because they are large


def _mallinfo2() -> Callable[[], Any] | None:
    """Return glibc's function; None where the C library has none (musl, macOS, Windows)."""
    try:
        function = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):  # Windows has no library of the process itself
        return None
    function.restype = _Mallinfo2
    return function
