"""The most memory that a piece of work took on top of what the process held before."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"  # what Linux takes for "start the high-water mark anew"

Found = TypeVar("Found")


def with_peak(work: Callable[[], Found]) -> tuple[Found, int | None]:
    """What `work` gives, and by how many bytes the resident memory rose in between; None where unknown.

    Linux keeps a high-water mark that can be reset. Elsewhere the mark of the whole process stands in: right
    in a fresh process, too low where something larger ran before. What is garbage already is collected first;
    memory that another thread gives back meanwhile makes the rise look smaller.
    """
    gc.collect()
    reset = _reset()
    before = _linux("VmRSS") if reset else _high_water()
    found = work()
    after = _linux("VmHWM") if reset else _high_water()
    return found, None if before is None or after is None else max(0, after - before)


def _reset() -> bool:
    try:
        _RESET.write_text(_FORGET_PEAK, encoding="ascii")
    except OSError:
        return False
    return True


def _linux(field: str) -> int | None:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    return None


def _high_water() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
