"""Trained language networks in use: averaged over members, and as a live step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from statewise.recurrence import Recurrence, last_real, zero_padding
from statewise.state import State
from statewise.tasks.language_network import LanguageNetwork


class LanguageModel(Recurrence):
    """The mean probability of several networks, as log-probabilities [B, T, V]; one state per network."""

    def __init__(self, networks: Sequence[LanguageNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(networks)
        self.networks = list(networks)

    @property
    def size(self) -> int:
        """Items in the vocabulary."""
        return self.networks[0].size

    def initial_state(self, batch: int) -> tuple[State, ...]:
        return tuple(network.initial_state(batch) for network in self.networks)

    def step(self, x: Tensor, state: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        """One item [B] through every network."""
        made = [network.step(x, part) for network, part in zip(self.networks, state, strict=True)]
        return _mixed([log_probs for log_probs, _ in made]), tuple(after for _, after in made)

    def forward(
        self, x: Tensor, state: tuple[State, ...] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[State, ...]]:
        """A sequence [B, T] through every network."""
        parts = (None,) * len(self.networks) if state is None else state
        made = [network(x, part, lengths) for network, part in zip(self.networks, parts, strict=True)]
        return zero_padding(_mixed([log_probs for log_probs, _ in made]), lengths), tuple(
            after for _, after in made
        )


class LiveState(NamedTuple):
    """The memory, and what it expects next."""

    memory: State
    log_probs: Tensor  # [B, V]


class LiveLanguageModel(Recurrence):
    """Items [B] to [B, 1 + V]: the surprisal (nats) of the item that came, then what may come next.

    Every sequence begins after the item `start`.
    """

    def __init__(self, model: LanguageModel, start: int) -> None:
        super().__init__()
        self.model, self.start = model, start

    def initial_state(self, batch: int) -> LiveState:
        weight = next(self.model.parameters())
        first = torch.full((batch,), self.start, dtype=torch.int64, device=weight.device)
        log_probs, memory = self.model.step(first, self.model.initial_state(batch))
        return LiveState(memory, log_probs)

    def step(self, x: Tensor, state: LiveState) -> tuple[Tensor, LiveState]:
        """One item [B] to [B, 1 + V]."""
        nats = -state.log_probs.gather(1, x.unsqueeze(1))
        log_probs, memory = self.model.step(x, state.memory)
        return torch.cat((nats, log_probs), dim=1), LiveState(memory, log_probs)

    def forward(
        self, x: Tensor, state: LiveState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, LiveState]:
        """A sequence [B, T] to [B, T, 1 + V]."""
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[1] == 0:
            return x.new_zeros((*x.shape, 1 + self.model.size), dtype=state.log_probs.dtype), state
        ids = zero_padding(x, lengths)
        log_probs, memory = self.model(ids, state.memory, lengths)
        before = torch.cat((state.log_probs.unsqueeze(1), log_probs[:, :-1]), dim=1)
        nats = -before.gather(2, ids.unsqueeze(2))
        outputs = zero_padding(torch.cat((nats, log_probs), dim=2), lengths)
        return outputs, LiveState(memory, last_real(log_probs, state.log_probs, lengths))


def _mixed(log_probs: Sequence[Tensor]) -> Tensor:
    if len(log_probs) == 1:
        return log_probs[0]
    return torch.stack(tuple(log_probs)).logsumexp(dim=0) - math.log(len(log_probs))
