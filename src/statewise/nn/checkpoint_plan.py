"""Where to keep states so that a sequence can be walked backwards in little memory.

A sequence is cut into runs of steps. A run is walked back by repeating it forwards, with everything that its
gradient needs, from the state at its start; a start that was not kept is reached by going on from an earlier
kept state. With n runs and s kept states beside the first one, the fewest runs gone through again are

    C(n, s) = min over y of  y + C(n - y, s - 1) + C(y, s),   C(1, s) = 0,   C(n, 0) = n (n - 1) / 2

(Gruslys et al. 2016, arXiv 1606.03401, hidden-state memorisation), which has the closed form of Griewank and
Walther 2000 (algorithm 799, revolve). A run keeps the insides of all its steps, as Gruslys' mixed strategy
does, so its length trades the one memory against the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from statewise.core.errors import ConfigError
from statewise.core.quantities import size_text

Held = TypeVar("Held")

# Bytes of a run beyond which nothing is gained: it falls out of the caches, and the memory of such large
# tensors goes back to the system after every run. (An LSTM of 256 units, 16 rows, runs of 64 to 600 steps.)
PAYS = 28_000_000


@dataclass(frozen=True)
class Footprint:
    """Bytes of a walk back: of one kept state; of a run, `fixed` and for each of its steps."""

    state: int
    fixed: int
    step: int

    @property
    def least(self) -> int:
        """Bytes of the smallest walk: one step and the state at its start."""
        return self.fixed + self.step + self.state

    def whole(self, time: int) -> int:
        """Bytes of the whole sequence as one run: plain backpropagation through time."""
        return self.fixed + time * self.step


@dataclass(frozen=True)
class Plan:
    """Runs of `run` steps, the first one perhaps shorter, and states kept beside the first."""

    time: int
    run: int
    kept: int

    @property
    def runs(self) -> int:
        """How many."""
        return -(-self.time // self.run)

    def span(self, index: int) -> tuple[int, int]:
        """First step of run `index`, and the step after its last."""
        stop = self.time - (self.runs - 1 - index) * self.run
        return max(stop - self.run, 0), stop

    @property
    def again(self) -> int:
        """Steps gone through again, at most: what a shorter first run saves is counted once."""
        if self.runs == 1:
            return 0
        return fewest(self.runs, self.kept) * self.run - (self.runs * self.run - self.time)


def plan(time: int, footprint: Footprint, budget: float) -> Plan:
    """The plan with the fewest repeated steps in `budget` bytes; its runs are no longer than pays.

    Raises ConfigError when none fits.
    """
    if footprint.whole(time) <= budget:
        return Plan(time, max(time, 1), 0)
    best, kept = None, 0
    # The state at the start of the newest run is kept as well, so kept + 1 states beside the first.
    while (run := _run(footprint, budget, kept)) >= 1:
        found = Plan(time, min(run, time), kept)
        if best is None or found.again < best.again:
            best = found
        if kept >= found.runs - 1:
            break
        kept += 1
    if best is None:
        least = size_text(1.01 * footprint.least)
        raise ConfigError(f"memory: got {size_text(budget)}, want at least {least}, one step and its state.")
    return best


def _run(footprint: Footprint, budget: float, kept: int) -> int:
    """Steps of a run that fit beside `kept` + 1 states."""
    free = budget - footprint.fixed - (kept + 1) * footprint.state
    longest = max(PAYS // max(footprint.step, 1), 1)
    return min(int(free // max(footprint.step, 1)), longest)


def fewest(runs: int, kept: int) -> int:
    """C(runs, kept): the fewest runs gone through again."""
    if runs <= 1:
        return 0
    slots, repeats = min(kept, runs - 1) + 1, 0
    while math.comb(slots + repeats, slots) < runs:
        repeats += 1
    return repeats * runs - math.comb(slots + repeats, slots + 1)


@lru_cache(maxsize=100_000)
def split(runs: int, kept: int) -> int:
    """The y of C(runs, kept): how far to go before keeping the next state."""
    if kept <= 0:
        return runs - 1

    def cost(y: int) -> int:
        return y + fewest(runs - y, kept - 1) + fewest(y, kept)

    low, high = 1, runs - 1  # the cost is convex in y
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(middle) <= cost(middle + 1) else (middle + 1, high)
    return low


def descent(start: int, stop: int, kept: int) -> Iterator[int]:
    """Where the state is kept on the way from run `start` to run `stop` - 1, the latter included."""
    while stop - start > 1:
        start += split(stop - start, kept)
        kept = max(kept - 1, 0)
        yield start


def walk_back(
    plan: Plan,
    held: Sequence[tuple[int, Held]],
    advance: Callable[[Held, int], Held],
    reverse: Callable[[Held, int], None],
) -> None:
    """`reverse(state, run)` for every run from the last to the first, with the state at its start.

    `held` are the first run and its state, and any that were kept along `descent`; `advance(state, run)`
    gives the state after a run.
    """
    stack = list(held)
    for stop in range(plan.runs, 0, -1):
        index, state = stack[-1]
        for place in descent(index, stop, max(plan.kept - len(stack) + 1, 0)):
            for run in range(index, place):
                state = advance(state, run)
            index = place
            stack.append((index, state))
        stack.pop()
        reverse(state, index)
