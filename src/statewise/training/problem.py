"""What the training loop asks of a task: a network, chunks in order, a loss and a score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

import numpy as np
from torch import Tensor, nn

from statewise.data.chunks import Chunk
from statewise.state import State

Network = TypeVar("Network", bound=nn.Module)


class Problem(Protocol[Network]):
    """A network with something to learn; training changes nothing else (a checkpoint would miss it)."""

    @property
    def network(self) -> Network:
        """Everything that is trained. A recurrence starts each fresh chunk from its initial state, any other
        module from the empty state ()."""

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        """One pass over the data, its order drawn from `rng` alone (draws only, no `rng.spawn`).

        The first chunk is fresh; a chunk that is not continues the lanes of the chunk before. A resumed run
        replays the epoch and skips what was seen, so chunks should be cheap to make.
        """

    def loss(self, network: Network, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """The loss of a chunk (a scalar with gradient) and the state after it; `state` is that before it."""

    def validate(self, network: Network) -> float:
        """A finite score on data not trained on, lower is better; called in eval mode without gradients."""
