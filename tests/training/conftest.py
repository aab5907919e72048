"""A toy problem: answer each input with a mix of itself and the one before, by a small gated recurrence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from statewise.data.chunks import Chunk, cut
from statewise.recurrence import Recurrence, run_steps
from statewise.state import State


class ToyState(NamedTuple):
    hidden: Tensor  # [B, H]
    count: Tensor  # [B, 1], steps since the start


class ToyNetwork(Recurrence):
    """A minimal gated unit with a linear head and a learned start; dropout, so that random numbers matter."""

    def __init__(self, seed: int, dropout: float, hidden_size: int = 6) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.gates = nn.Linear(2 + hidden_size, 2 * hidden_size)
            self.head = nn.Linear(hidden_size, 1)
        self.start = nn.Parameter(torch.zeros(hidden_size))
        self.drop = nn.Dropout(dropout)

    def initial_state(self, batch: int) -> ToyState:
        return ToyState(self.start.expand(batch, -1), torch.zeros(batch, 1))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        gate, value = self.gates(torch.cat([x, state.hidden.to(x.dtype)], -1)).chunk(2, -1)
        hidden = torch.lerp(state.hidden.to(gate.dtype), value.tanh(), gate.sigmoid())
        return self.head(self.drop(hidden)), ToyState(hidden, state.count + 1)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        return run_steps(self.step, x, self.initial_state(x.shape[0]) if state is None else state, lengths)


class ToyProblem:
    """Two batches of four lanes of twelve steps, six chunks an epoch; remembers what each loss was given."""

    def __init__(self, chunk_length: int | None = 5, dropout: float = 0.2, seed: int = 0) -> None:
        self.network = ToyNetwork(seed, dropout)
        rng = np.random.default_rng(7)
        self.x = torch.from_numpy(rng.standard_normal((8, 12, 2)).astype(np.float32))
        self.y = self.x[..., :1] - 0.5 * self.x[..., 1:].roll(1, dims=1)
        self.chunk_length = chunk_length
        self.given: list[tuple[Chunk, State]] = []

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        for lanes in rng.permutation(8).reshape(2, 4):
            x, y = self.x[lanes], self.y[lanes]
            yield from cut(x, y, torch.ones(x.shape[:2]), self.chunk_length)

    def loss(self, network: ToyNetwork, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        self.given.append((chunk, state))
        y, state = network(chunk.inputs, state)
        error = ((y - chunk.target) ** 2).mean(-1)
        return (error * chunk.weight).sum() / chunk.weight.sum(), state

    def validate(self, network: ToyNetwork) -> float:
        return ((network(self.x)[0] - self.y) ** 2).mean().item()

    def bits(self) -> bytes:
        """All weights of the network, for comparison to the last bit."""
        return b"".join(tensor.numpy().tobytes() for tensor in self.network.state_dict().values())


@pytest.fixture(name="Toy")
def toy() -> type[ToyProblem]:
    """The toy problem's class; every test makes its own."""
    return ToyProblem
