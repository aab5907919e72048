"""Training in a given amount of memory: each chunk's exact gradient, taken run by run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from statewise import state as states
from statewise.data.chunks import Chunk
from statewise.nn.checkpoint_plan import Footprint
from statewise.nn.checkpointed_loss import Part, Terms, exact_sum, measured
from statewise.nn.memory import MemoryBudget
from statewise.nn.recompute import slice_time
from statewise.state import State
from statewise.training.problem import Network, Problem


@runtime_checkable
class Additive(Problem[Network], Protocol[Network]):
    """A problem whose loss of a chunk is a weighted mean, so that it can be had from pieces of the chunk."""

    def total(self, network: Network, chunk: Chunk, state: State) -> tuple[Tensor, Tensor, State]:
        """The weighted sum of losses [], the sum of the weights [], and the state after the chunk."""


class InMemory(Generic[Network]):
    """`problem`, its loss and gradient the same but for rounding, in less memory.

    A chunk's inputs, targets and weights come on top of `memory`, and so does what one gradient takes.
    """

    def __init__(self, problem: Additive[Network], memory: MemoryBudget) -> None:
        self.problem, self.memory = problem, memory
        self._measured: dict[object, Footprint] = {}

    @property
    def network(self) -> Network:
        """The problem's own."""
        return self.problem.network

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        """The problem's own."""
        return self.problem.epoch(rng)

    def loss(self, network: Network, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """Mean loss over a chunk; the state after it is cut off from its past."""
        inputs, target, weight = chunk[:3]

        def measure(start: int, stop: int, before: State) -> Part:
            parts = slice_time((inputs, target, weight), start, stop)
            piece = Chunk(parts[0], parts[1], parts[2], fresh=False)
            return Part(*self.problem.total(network, piece, before))

        def advance(start: int, stop: int, before: State) -> State:
            return measure(start, stop, before).after

        weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
        terms = Terms(weight.shape[1], measure, advance, weights, network.training)
        data = states.tensors((inputs, target, weight))
        places = self.memory.plan(terms.time, lambda: measured(self._measured, terms, state, data))
        part = exact_sum(terms, places, state)
        return part.total / part.weight.clamp(min=1), part.after

    def validate(self, network: Network) -> float:
        """The problem's own."""
        return self.problem.validate(network)
