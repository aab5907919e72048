"""How much memory a walk back through time may take, as people write it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from statewise import state as states
from statewise.core.errors import ConfigError, shown
from statewise.core.quantities import size_in_bytes
from statewise.nn.checkpoint_plan import Footprint, Plan, plan
from statewise.recurrence import Input
from statewise.state import State

_STEPS = re.compile(r"(\d+) steps?")


@dataclass(frozen=True)
class MemoryBudget:
    """How much memory a walk back may take; one of the three is above 0."""

    bytes: int = 0
    share: float = 0.0  # of what plain backpropagation through time takes
    steps: int = 0  # of a run, the state before each one kept

    def plan(self, time: int, footprint: Callable[[], Footprint]) -> Plan:
        """Where to keep states over `time` steps. Raises ConfigError when the memory is too small."""
        if self.steps:
            run = min(self.steps, max(time, 1))
            return Plan(time, run, max(-(-time // run) - 1, 0))
        measured = footprint()
        # A share of a short sequence may not hold one step; then as little as there can be.
        return plan(time, measured, self.bytes or max(self.share * measured.whole(time), measured.least))


def parse_memory(memory: str | float, where: str = "memory") -> MemoryBudget:
    """A size ("50 MB", or bytes), a share of plain backpropagation (up to 1), or a run ("128 steps").

    Raises ConfigError: "memory: got 'big', want a size such as '50 MB', a share up to 1, or '128 steps'."
    """
    if isinstance(memory, str) and (match := _STEPS.fullmatch(memory.strip())) and int(match[1]):
        return MemoryBudget(steps=int(match[1]))
    if isinstance(memory, (int, float)) and not isinstance(memory, bool) and 0 < memory <= 1:
        return MemoryBudget(share=float(memory))
    try:
        return MemoryBudget(bytes=size_in_bytes(memory, where))
    except ConfigError:
        want = "a size such as '50 MB', a share up to 1, or '128 steps'"
        raise ConfigError(f"{where}: got {shown(memory)}, want {want}.") from None


def kind(x: Input, state: State) -> tuple[object, ...]:
    """What the memory of a step depends on: shapes but for the time, types and places of inputs and state."""
    parts, leaves = states.tensors(x), states.tensors(state)
    shapes = [(part.shape[0], *part.shape[2:]) for part in parts] + [leaf.shape for leaf in leaves]
    return (*shapes, *((leaf.dtype, leaf.device, leaf.requires_grad) for leaf in (*parts, *leaves)))
