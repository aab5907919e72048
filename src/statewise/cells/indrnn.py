"""The independently recurrent network of Li et al. 2018 (IndRNN, equation 5).

With x the input, h the hidden state, u one weight per unit, held in ±`recurrent_max`, and ⊙ elementwise:

    h' = φ(W x + u ⊙ h + b),   φ = ReLU or tanh

A unit sees only its own past, so its memory is one number that can be read off: |u| near 1 remembers long.
The paper bounds |u| by 2^(1/T) for sequences of T steps (section 3.2), which tends to 1; larger values grow
without end under ReLU.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from statewise.cells.checks import above_zero, between, one_of
from statewise.cells.start import Initial, Start
from statewise.cells.weights import gate_bias, input_weight
from statewise.ops.linear import linear
from statewise.recurrence import Recurrence, check_sequence, run_steps, zero_padding

Nonlinearity = Literal["relu", "tanh"]


class IndRNNState(NamedTuple):
    """The memory of independent units."""

    hidden: Tensor  # [B, H]


class IndRNN(Recurrence):
    """One layer of independently recurrent units: x [B, T, I] to hidden states [B, T, H].

    The loop weights start uniform in [`recurrent_min`, `recurrent_max`] and are clamped to ±`recurrent_max`;
    for a long memory start them near it, as the paper does in its last layer. Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Nonlinearity = "relu",
        recurrent_min: float = 0.0,
        recurrent_max: float = 1.0,
        initial: Initial = "zero",
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.nonlinearity = one_of(nonlinearity, get_args(Nonlinearity), "nonlinearity")
        self.recurrent_max = above_zero(recurrent_max, "recurrent_max")
        low = between(recurrent_min, 0.0, self.recurrent_max, "recurrent_min")
        self.input_weight = input_weight(1, hidden_size, input_size)
        self.recurrent_weight = nn.Parameter(torch.empty(hidden_size).uniform_(low, self.recurrent_max))
        self.bias = gate_bias(1, hidden_size)
        self.initial_hidden = Start(initial, hidden_size)

    def initial_state(self, batch: int) -> IndRNNState:
        """The start of `batch` rows."""
        return IndRNNState(self.initial_hidden(batch, self.recurrent_weight))

    def step(self, x: Tensor, state: IndRNNState) -> tuple[Tensor, IndRNNState]:
        """One observation [B, I] to the hidden state [B, H]."""
        hidden = self._update(self._project(x), state.hidden, self._weight())
        return hidden, IndRNNState(hidden)

    def forward(
        self, x: Tensor, state: IndRNNState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, IndRNNState]:
        """A sequence [B, T, I] to hidden states [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "indrnn")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        weight = self._weight()

        def step(projected: Tensor, state: IndRNNState) -> tuple[Tensor, IndRNNState]:
            hidden = self._update(projected, state.hidden, weight)
            return hidden, IndRNNState(hidden)

        return run_steps(step, self._project(zero_padding(x, lengths)), state, lengths)

    def _project(self, x: Tensor) -> Tensor:
        return linear(x, self.input_weight, self.bias).to(self.bias.dtype)

    def _weight(self) -> Tensor:
        return self.recurrent_weight.clamp(-self.recurrent_max, self.recurrent_max)

    def _update(self, projected: Tensor, hidden: Tensor, weight: Tensor) -> Tensor:
        total = torch.addcmul(projected, weight, hidden)
        return total.relu() if self.nonlinearity == "relu" else total.tanh()
