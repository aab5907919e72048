"""Memory that was freed, kept for the next call."""

from __future__ import annotations

import ctypes
import os

# glibc's options (malloc.h): when to give the end of the heap back, and how many blocks to map on their own.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed memory for this process; whether it listens (glibc does).

    By default every large tensor is fresh pages from the system, given back when it is freed: a large part of
    the time of training on long sequences, in PyTorch as here (benchmarks/speed/freed_memory.py). Kept, the
    process holds what its largest moment took until it ends. The command line does this; in a program of
    yours the choice is yours.
    """
    libc = ctypes.CDLL(None) if os.name == "posix" else None
    if libc is None or not hasattr(libc, "mallopt"):
        return False
    return bool(libc.mallopt(_M_TRIM_THRESHOLD, -1)) and bool(libc.mallopt(_M_MMAP_MAX, 0))
