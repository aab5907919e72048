"""The sLSTM of Beck et al. 2024, "xLSTM", equations 8 to 18: an LSTM with exponential gates and a normaliser.

With x the input, h the hidden state, c the cell, n the normaliser, m the stabiliser, ⊙ elementwise; U has one
block per head, so that units of different heads meet only in the next layer:

    i, f, z, o = W x + U h + b                      pre-activations; i and log f are logarithms of gates
    log f = log σ(f), or f itself with forget="exp"
    m' = max(log f + m, i)                          log f + m is -∞ where n = 0: nothing is remembered yet
    f = exp(log f + m - m'),   i = exp(i - m')
    c' = f ⊙ c + i ⊙ tanh(z),   n' = f ⊙ n + i,   h' = σ(o) ⊙ c' / n'
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from statewise.cells.checks import at_least, one_of
from statewise.cells.weights import input_weight, recurrent_weight
from statewise.core.errors import ConfigError
from statewise.ops.linear import linear
from statewise.ops.native import native_for
from statewise.ops.ragged import pack, unpack
from statewise.ops.slstm_scan import slstm_scan, slstm_update
from statewise.recurrence import Recurrence, check_sequence, run_steps, zero_padding

Forget = Literal["sigmoid", "exp"]


class SLSTMState(NamedTuple):
    """The memory of an sLSTM."""

    hidden: Tensor  # [B, H]
    cell: Tensor  # [B, H]
    normaliser: Tensor  # [B, H]
    stabiliser: Tensor  # [B, H]


class SLSTM(Recurrence):
    """One layer of sLSTM: x [B, T, I] to hidden states [B, T, H].

    The forget gates start between σ(3) and σ(6), as in the authors' code; the recurrent weights orthogonal.
    Raises ShapeError; ConfigError, also when `num_heads` does not divide H.

    State per layer: 4 H floats. Cost per step: O(H I + H² / heads). Form: loop.
    Good for: state tracking and choices that are revised; the loop over time cannot be cut.
    """

    def __init__(
        self, input_size: int, hidden_size: int, *, num_heads: int = 1, forget: Forget = "sigmoid"
    ) -> None:
        super().__init__()
        if hidden_size % at_least(num_heads, 1, "num_heads"):
            raise ConfigError(f"num_heads: got {num_heads}, want a divisor of hidden_size {hidden_size}.")
        self.input_size, self.hidden_size, self.num_heads = input_size, hidden_size, num_heads
        self.forget = one_of(forget, get_args(Forget), "forget")
        size = hidden_size // num_heads
        self.input_weight = input_weight(4, hidden_size, input_size)
        blocks = [recurrent_weight(4, size).detach() for _ in range(num_heads)]
        self.recurrent_weight = nn.Parameter(torch.stack(blocks))  # [heads, 4 · size, size]
        self.bias = nn.Parameter(torch.zeros(4 * hidden_size))
        with torch.no_grad():
            self.bias[hidden_size : 2 * hidden_size] = torch.linspace(3.0, 6.0, size).repeat(num_heads)

    def initial_state(self, batch: int) -> SLSTMState:
        """Zeros."""
        zero = self.bias.new_zeros(batch, self.hidden_size)
        return SLSTMState(zero, zero.clone(), zero.clone(), zero.clone())

    def step(self, x: Tensor, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
        """One observation [B, I] to the hidden state [B, H]."""
        return self._update(self._project(x), state)

    def forward(
        self, x: Tensor, state: SLSTMState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, SLSTMState]:
        """A sequence [B, T, I] to hidden states [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "slstm")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        if native_for(x, *state, self.recurrent_weight) is not None:
            return self._native(x, state, lengths)
        return run_steps(self._update, self._project(zero_padding(x, lengths)), state, lengths)

    def _project(self, x: Tensor) -> Tensor:
        # Under autocast the product is in half precision; the memory stays in full precision.
        return linear(x, self.input_weight, self.bias).to(self.bias.dtype)

    def _update(self, projected: Tensor, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
        after = SLSTMState(*slstm_update(projected, state, self.recurrent_weight, self.forget == "exp"))
        return after.hidden, after

    def _native(self, x: Tensor, state: SLSTMState, lengths: Tensor | None) -> tuple[Tensor, SLSTMState]:
        projected, exponential = self._project(pack(x, lengths)), self.forget == "exp"
        steps, after = slstm_scan(projected, self.recurrent_weight, state, exponential, lengths)
        return unpack(steps, lengths, *x.shape[:2]), SLSTMState(*after)
