"""One vector of a whole sequence so far: largest, mean, attended and last features, each a recurrence.

Whatever is pooled is known at every step, so a causal classifier answers live; `end` gives the same value of
whole sequences at once, without the running one in between, and serves encoders that read both ways.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from statewise.core.errors import ConfigError, lookup
from statewise.recurrence import Recurrence, last_real, real_steps, zero_padding
from statewise.state import State

LOWEST = -1e30  # of a maximum over nothing: finite, so that differences of states stay numbers
SHARPEST = 10.0  # attention scores stay within ± this: exp of them needs no running maximum


class Pool(Recurrence):
    """One way of pooling: x [B, T, H], features read so far, to [B, T, H]; H is `size`. Abstract."""

    anchor: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("anchor", torch.zeros(()), persistent=False)  # carries device and dtype

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        start = self.initial_state(x.shape[0]) if state is None else state
        return (x, start) if x.shape[1] == 0 else self._whole(x, start, lengths)

    @abstractmethod
    def end(self, x: Tensor, lengths: Tensor | None = None, backward: int = 0) -> Tensor:
        """The value after each row's last real step, [B, H]; T ≥ 1.

        The last `backward` features come from a reader that goes from the end to the start.
        """

    @abstractmethod
    def _whole(self, x: Tensor, start: Any, lengths: Tensor | None) -> tuple[Tensor, State]:
        """`forward` from a given state, T ≥ 1."""


class MaxPool(Pool):
    """The largest value of each feature so far; the state is that, [B, H]."""

    def initial_state(self, batch: int) -> Tensor:
        return self.anchor.new_full((batch, self.size), LOWEST)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        largest = torch.maximum(state, x)
        return largest, largest

    def _whole(self, x: Tensor, start: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        line = torch.cat((start.unsqueeze(1), _hidden(x, lengths, LOWEST)), dim=1)
        largest = line.cummax(dim=1).values[:, 1:]
        return zero_padding(largest, lengths), last_real(largest, start, lengths)

    def end(self, x: Tensor, lengths: Tensor | None = None, backward: int = 0) -> Tensor:
        return _hidden(x, lengths, LOWEST).amax(dim=1)


class MeanState(NamedTuple):
    """Sum of each feature, and how many steps there were."""

    total: Tensor  # [B, H]
    steps: Tensor  # [B, 1]


class MeanPool(Pool):
    """The mean of each feature so far; of an empty row it ends at 0."""

    def initial_state(self, batch: int) -> MeanState:
        return MeanState(self.anchor.new_zeros(batch, self.size), self.anchor.new_zeros(batch, 1))

    def step(self, x: Tensor, state: MeanState) -> tuple[Tensor, MeanState]:
        after = MeanState(state.total + x, state.steps + 1)
        mean: Tensor = after.total / after.steps
        return mean, after

    def _whole(self, x: Tensor, start: MeanState, lengths: Tensor | None) -> tuple[Tensor, MeanState]:
        total = start.total.unsqueeze(1) + zero_padding(x, lengths).cumsum(dim=1)
        steps = start.steps.unsqueeze(1) + _clock(x)
        ends = MeanState(
            *(last_real(part, first, lengths) for part, first in ((total, start.total), (steps, start.steps)))
        )
        return zero_padding(total / steps, lengths), ends

    def end(self, x: Tensor, lengths: Tensor | None = None, backward: int = 0) -> Tensor:
        total: Tensor = zero_padding(x, lengths).sum(dim=1)
        if lengths is None:
            return total / x.shape[1]
        return total / lengths.clamp(min=1).unsqueeze(1).to(x.dtype)


class AttentionState(NamedTuple):
    """Sum of the features times their weights, and of the weights."""

    weighted: Tensor  # [B, H]
    weight: Tensor  # [B, 1]


class AttentionPool(Pool):
    """The mean of x [B, T, H] so far, weighted by exp(score(x_t)): what matters counts for more.

    score(x) = v · tanh(W x + b), as in Yang et al. 2016, eq. 5 to 7, kept within ± SHARPEST by a further
    tanh. `weights` shows the share of each step. An empty row ends at 0.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.query = nn.Linear(size, size)
        self.value = nn.Linear(size, 1, bias=False)

    def initial_state(self, batch: int) -> AttentionState:
        return AttentionState(self.anchor.new_zeros(batch, self.size), self.anchor.new_zeros(batch, 1))

    def step(self, x: Tensor, state: AttentionState) -> tuple[Tensor, AttentionState]:
        power = self._power(x)
        after = AttentionState(state.weighted + power * x, state.weight + power)
        mean: Tensor = after.weighted / after.weight
        return mean, after

    def _whole(
        self, x: Tensor, start: AttentionState, lengths: Tensor | None
    ) -> tuple[Tensor, AttentionState]:
        x = zero_padding(x, lengths)
        power = self._power(x)
        weighted = start.weighted.unsqueeze(1) + (power * x).cumsum(dim=1)
        weight = start.weight.unsqueeze(1) + power.cumsum(dim=1)
        ends = AttentionState(
            last_real(weighted, start.weighted, lengths), last_real(weight, start.weight, lengths)
        )
        return zero_padding(weighted / weight, lengths), ends

    def end(self, x: Tensor, lengths: Tensor | None = None, backward: int = 0) -> Tensor:
        attended: Tensor = (self.weights(x, lengths).unsqueeze(-1) * zero_padding(x, lengths)).sum(dim=1)
        return attended

    def weights(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The share of each step of whole sequences [B, T, H]: [B, T], one in sum, 0 after the length."""
        x = zero_padding(x, lengths)
        power: Tensor = zero_padding(self._power(x).squeeze(-1), lengths)
        return power / power.sum(dim=1, keepdim=True).clamp(min=torch.finfo(power.dtype).tiny)

    def _power(self, x: Tensor) -> Tensor:
        score = self.value(torch.tanh(self.query(x)))
        return (SHARPEST * torch.tanh(score / SHARPEST)).exp()


class LastPool(Pool):
    """x itself; its state is the newest one, [B, H]. An empty row ends at 0."""

    def initial_state(self, batch: int) -> Tensor:
        return self.anchor.new_zeros(batch, self.size)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return x, x

    def _whole(self, x: Tensor, start: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        x = zero_padding(x, lengths)
        return x, last_real(x, start, lengths)

    def end(self, x: Tensor, lengths: Tensor | None = None, backward: int = 0) -> Tensor:
        x = zero_padding(x, lengths)
        ahead = x.shape[-1] - backward  # a reader that goes backwards ends at the first step
        last = last_real(x[..., :ahead], torch.zeros_like(x[:, 0, :ahead]), lengths)
        return torch.cat((last, x[:, 0, ahead:]), dim=-1)


POOLS: dict[str, Callable[[int], Pool]] = {
    "max": MaxPool,
    "mean": MeanPool,
    "attention": AttentionPool,
    "last": LastPool,
}


class Pooling(Recurrence):
    """Several ways of pooling side by side: x [B, T, H] to [B, T, H · len(kinds)]; one state each.

    Raises ConfigError for a kind that is not in POOLS, for none, and for one named twice.
    """

    def __init__(self, size: int, kinds: Sequence[str]) -> None:
        super().__init__()
        check_pooling(kinds)
        self.kinds = tuple(kinds)
        self.output_size = size * len(self.kinds)
        self.parts: list[Pool] = [POOLS[kind](size) for kind in self.kinds]
        self.pools = nn.ModuleList(self.parts)

    def initial_state(self, batch: int) -> tuple[State, ...]:
        return tuple(part.initial_state(batch) for part in self.parts)

    def step(self, x: Tensor, state: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        outputs, after = zip(
            *(part.step(x, s) for part, s in zip(self.parts, state, strict=True)), strict=True
        )
        return torch.cat(outputs, dim=-1), after

    def forward(
        self, x: Tensor, state: tuple[State, ...] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[State, ...]]:
        before = (None,) * len(self.parts) if state is None else state
        found = (part(x, s, lengths) for part, s in zip(self.parts, before, strict=True))
        outputs, after = zip(*found, strict=True)
        return torch.cat(outputs, dim=-1), after

    def end(self, x: Tensor, lengths: Tensor | None = None, backward: int = 0) -> Tensor:
        """What is pooled after each row's last real step, [B, H · len(kinds)]; T ≥ 1.

        The last `backward` features of x come from a reader that goes from the end to the start.
        """
        return torch.cat([part.end(x, lengths, backward) for part in self.parts], dim=-1)


def check_pooling(kinds: Sequence[str]) -> None:
    """Raise ConfigError unless `kinds` names one or more different ways of pooling."""
    if isinstance(kinds, str) or not kinds:
        raise ConfigError(f"pooling: got {kinds!r}, want a list of some of {', '.join(POOLS)}.")
    for kind in kinds:
        lookup(POOLS, kind, "pooling")
    if len(set(kinds)) < len(kinds):
        raise ConfigError(f"pooling: got {list(kinds)}, want each of them once.")


def _hidden(x: Tensor, lengths: Tensor | None, value: float) -> Tensor:
    """`x` [B, T, H] with `value` after each row's length."""
    if lengths is None:
        return x
    return torch.where(real_steps(lengths, x.shape[1]).unsqueeze(-1), x, torch.full_like(x, value))


def _clock(x: Tensor) -> Tensor:
    """1 … T as [1, T, 1], of the dtype of `x`."""
    return torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype).view(1, -1, 1)
