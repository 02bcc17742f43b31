"""The allocator: whether the process keeps the memory that a pass gives back."""

from __future__ import annotations

import ctypes
from typing import Literal

Held = Literal["held", "unknown"]

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
_NEVER, _STEP, _LARGEST = 2**31 - 1, 64 << 20, 32 << 20  # glibc takes no larger threshold for mapping


def hold_memory() -> Held:
    """Make the C library keep freed memory for the rest of the process; return whether it does.

    By default glibc gives a large activation's memory back to the system and asks for it anew in each pass. The
    page faults are a fifth of an eager MobileNet's latency, and how many there are depends on what else lies in the
    heap: the same network differed by 3 % (standard deviation) from process to process, and by 1 % without them.
    Other C libraries have no such switch: `unknown`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return "unknown"
    settings = ((_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _STEP), (_MMAP_THRESHOLD, _LARGEST))
    return "held" if all(mallopt(name, value) == 1 for name, value in settings) else "unknown"
