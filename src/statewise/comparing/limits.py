"""What a live model may cost."""

from __future__ import annotations

from dataclasses import dataclass

from statewise.comparing.live_cost import LiveCost
from statewise.core.quantities import duration_text, seconds, size_in_bytes, size_text


@dataclass(frozen=True)
class Limits:
    """Seconds of a live step, and bytes of one session (its state and the weights); None: no limit."""

    latency: float | None = None
    memory: int | None = None

    @classmethod
    def read(cls, latency: str | float | None, memory: str | float | None) -> Limits:
        """From "1 ms" and "2 MB". Raises ConfigError."""
        return cls(
            None if latency is None else seconds(latency, "latency"),
            None if memory is None else size_in_bytes(memory, "memory"),
        )

    def broken_by(self, cost: LiveCost) -> tuple[str, ...]:
        """What is over the limits, and by how much."""
        found = []
        if self.latency is not None and cost.step > self.latency:
            found.append(
                f"a step takes {duration_text(cost.step)}, {cost.step / self.latency:.2g} times the "
                f"latency limit of {duration_text(self.latency)}"
            )
        held = cost.state_bytes + cost.weight_bytes
        if self.memory is not None and held > self.memory:
            found.append(
                f"state and weights take {size_text(held)}, {held / self.memory:.2g} times the "
                f"memory limit of {size_text(self.memory)}"
            )
        return tuple(found)
