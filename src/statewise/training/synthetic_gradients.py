"""Decoupled training, an experiment: what comes after a chunk is answered for by a prediction.

Truncated backpropagation takes the gradient of all later losses with respect to the state at a chunk's end to
be zero. Here a small network predicts it from that state, and is itself trained on what the next chunk finds
(Jaderberg et al. 2017, "Decoupled neural interfaces using synthetic gradients", sections 2.1 and 3.1):

    loss of a chunk = its own losses + ⟨M(s_end), s_end⟩          M(s_end) taken as given
    M(s_start) is drawn to the gradient of that with respect to s_start, in squares

The prediction is an approximation: gradients are biased until M is good. It is no default and no substitute
for `memory`, which is exact; docs/memory.md says what was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from statewise import state as states
from statewise.data.chunks import Chunk
from statewise.recurrence import Input, Recurrence
from statewise.state import State
from statewise.training.problem import Problem

Stepped = TypeVar("Stepped", bound=Recurrence)


class GradientPredictor(nn.Module):
    """From a state to what all later losses of a row would answer to its change: leaves [B, ...] of numbers.

    One hidden layer; the output layer starts at zero, which is truncated backpropagation.
    """

    def __init__(self, state: State, hidden_size: int = 64) -> None:
        super().__init__()
        self.sizes = [leaf[0].numel() if leaf.is_floating_point() else 0 for leaf in states.tensors(state)]
        width = sum(self.sizes)
        self.body = nn.Sequential(nn.Linear(width, hidden_size), nn.ReLU(), nn.Linear(hidden_size, width))
        for parameter in self.body[2].parameters():
            nn.init.zeros_(parameter)

    def forward(self, state: State) -> list[Tensor]:
        """One prediction for each leaf, of its shape; an empty one for a leaf of whole numbers."""
        leaves = states.tensors(state)
        known = [leaf.flatten(1) for leaf, size in zip(leaves, self.sizes, strict=True) if size]
        parts = self.body(torch.cat(known, dim=1)).split(self.sizes, dim=1)
        return [
            part.view_as(leaf) if size else part
            for part, leaf, size in zip(parts, leaves, self.sizes, strict=True)
        ]


class WithPredictor(Recurrence, Generic[Stepped]):
    """A network and its predictor, so that both are trained and saved together; it runs as the network."""

    def __init__(self, network: Stepped, hidden_size: int = 64) -> None:
        super().__init__()
        self.network: Stepped = network
        self.predictor = GradientPredictor(network.initial_state(1), hidden_size)

    def initial_state(self, batch: int) -> State:
        """The network's own."""
        return self.network.initial_state(batch)

    def step(self, x: Input, state: State) -> tuple[Tensor, State]:
        """The network's own."""
        return self.network.step(x, state)

    def forward(
        self, x: Input, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The network's own."""
        found: tuple[Tensor, State] = self.network(x, state, lengths)
        return found


class Decoupled(Generic[Stepped]):
    """`problem`, cut into chunks whose ends are answered for by predicted gradients.

    `discount` shrinks them, so that an error does not feed on itself from chunk to chunk.
    """

    def __init__(self, problem: Problem[Stepped], hidden_size: int = 64, discount: float = 0.9) -> None:
        self.problem, self.discount = problem, discount
        self._network = WithPredictor(problem.network, hidden_size)

    @property
    def network(self) -> WithPredictor[Stepped]:
        """The problem's network beside the predictor."""
        return self._network

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        """The problem's own."""
        return self.problem.epoch(rng)

    def loss(self, network: WithPredictor[Stepped], chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """The chunk's own loss in value; its gradient has the predicted part, and trains the predictor."""
        predictor, rows = network.predictor, chunk.weight.shape[0]
        leaves = states.tensors(states.detach(state))
        predicted = predictor(states.from_tensors(state, leaves))
        watched = [
            _Border.apply(leaf.requires_grad_(), prediction, rows) if size else leaf  # type: ignore[no-untyped-call]
            for leaf, prediction, size in zip(leaves, predicted, predictor.sizes, strict=True)
        ]
        loss, after = self.problem.loss(network.network, chunk, states.from_tensors(state, watched))
        if chunk.last:
            return loss, after
        with torch.no_grad():
            ahead = predictor(states.detach(after))
        answers = [
            (prediction * leaf).sum()
            for prediction, leaf, size in zip(ahead, states.tensors(after), predictor.sizes, strict=True)
            if size and leaf.requires_grad
        ]
        later = self.discount / rows * torch.stack(answers).sum()
        return loss + later - later.detach(), after

    def validate(self, network: WithPredictor[Stepped]) -> float:
        """The problem's own."""
        return self.problem.validate(network.network)


class _Border(torch.autograd.Function):
    """The state at a chunk's start; what arrives there on the way back is what the prediction should be."""

    @staticmethod
    def forward(ctx: Any, leaf: Tensor, predicted: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(predicted)
        ctx.rows = rows
        return leaf.view_as(leaf)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        (predicted,) = ctx.saved_tensors
        # A row's share of the mean loss is 1 / rows: the prediction is of the row's own loss.
        return gradient, (predicted - ctx.rows * gradient) / ctx.rows, None
