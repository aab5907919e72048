"""Learning-rate schedules: pure functions of the finished share of training, so resuming needs no state."""

from __future__ import annotations

import math
from collections.abc import Callable

WARMUP = 0.3  # share of training in which one_cycle rises
START = 1 / 25  # of the peak
END = START / 1e4


def one_cycle(done: float) -> float:
    """Share of the peak rate: cosine up from 1/25 during the first 30 %, cosine down to nearly nothing.

    Source: Smith and Topin 2019, super-convergence, as in torch's OneCycleLR but with constant momentum.
    """
    if done < WARMUP:
        return _cosine(START, 1.0, done / WARMUP)
    return _cosine(1.0, END, (done - WARMUP) / (1 - WARMUP))


def cosine(done: float) -> float:
    """Share of the peak rate: half a cosine from 1 to 0. Source: Loshchilov and Hutter 2017, SGDR, eq. 5."""
    return _cosine(1.0, 0.0, done)


def constant(done: float) -> float:
    """Always the peak rate."""
    return 1.0


def done_share(step: int, steps: float, elapsed: float, budget: float) -> float:
    """The finished share of training, 0 to 1: of the steps or of the time, whichever is further on.

    A time budget makes the rate depend on the clock: only runs limited by steps are equal bit for bit.
    """
    return min(1.0, max(step / steps, elapsed / budget))


def _cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "one_cycle": one_cycle,
    "cosine": cosine,
    "constant": constant,
}
