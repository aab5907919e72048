"""How long calls take, side by side: in turns, so that all share the machine's moods; medians."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter, sleep
from typing import Any

BURST = 0.06  # seconds of one burst; a long pause after it lets a shared machine settle


def interleaved(
    calls: Mapping[str, Callable[[], Any]], turns: int = 7, burst: float = BURST, pause: float = 0.0
) -> dict[str, list[float]]:
    """Seconds per call of each turn of each variant; a turn repeats its call for about `burst` seconds."""
    often = {name: _repeats(call, burst) for name, call in calls.items()}
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            begin = perf_counter()
            for _ in range(often[name]):
                call()
            found[name].append((perf_counter() - begin) / often[name])
            sleep(pause)
    return found


def medians(calls: Mapping[str, Callable[[], Any]], turns: int = 7, burst: float = BURST) -> dict[str, float]:
    """The median of `interleaved`, in milliseconds."""
    return {name: 1e3 * median(times) for name, times in interleaved(calls, turns, burst).items()}


def _repeats(call: Callable[[], Any], burst: float) -> int:
    call()  # the first call pays for what is made once
    begin = perf_counter()
    call()
    return max(1, round(burst / max(perf_counter() - begin, 1e-7)))
