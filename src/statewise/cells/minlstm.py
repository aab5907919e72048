"""The minimal long short-term memory of Feng et al. 2024 ("Were RNNs all we needed?", section 3.2).

With x the input, h the hidden state, ⊙ elementwise, and no gate looking at h:

    f, i = σ(W_f x + b_f), σ(W_i x + b_i)
    v    = W_v x + b_v                            candidate; g(v) with positive=True
    h'   = f / (f + i) ⊙ h + i / (f + i) ⊙ v      the two shares sum to one: no state grows with the length

positive=True is what the paper trains (appendix B): g(v) = v + ½ for v ≥ 0, σ(v) below, and the first state
is g of the start. The paper needs it to run the scan in log space; this scan does not, so both forms are
offered.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from statewise.cells.start import Initial, Start
from statewise.cells.weights import gate_bias, input_weight
from statewise.ops.channels import columns
from statewise.ops.linear import linear
from statewise.ops.min_lstm_scan import min_lstm_scan
from statewise.ops.positive import positive_value
from statewise.recurrence import Recurrence, check_sequence, last_real, zero_padding


class MinLSTMState(NamedTuple):
    """The memory of a minimal LSTM."""

    hidden: Tensor  # [B, H]


class MinLSTM(Recurrence):
    """One layer of minimal long short-term memory: x [B, T, I] to hidden states [B, T, H].

    The forget gate starts at bias 1. With `positive` every hidden state is above zero.
    Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        positive: bool = False,
        initial: Initial = "zero",
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.positive = input_size, hidden_size, positive
        self.input_weight = input_weight(3, hidden_size, input_size)
        self.bias = gate_bias(3, hidden_size, open_gate=0)
        self.initial_hidden = Start(initial, hidden_size)

    def initial_state(self, batch: int) -> MinLSTMState:
        """The start of `batch` rows."""
        start = self.initial_hidden(batch, self.bias)
        return MinLSTMState(positive_value(start) if self.positive else start)

    def step(self, x: Tensor, state: MinLSTMState) -> tuple[Tensor, MinLSTMState]:
        """One observation [B, I] to the hidden state [B, H]."""
        forget, enter, value = self._project(x)
        value = positive_value(value) if self.positive else value
        # i / (f + i) as a sigmoid: no quotient of two numbers that may both vanish.
        share = torch.sigmoid(functional.softplus(-forget) - functional.softplus(-enter))
        hidden = torch.lerp(state.hidden, value, share)
        return hidden, MinLSTMState(hidden)

    def forward(
        self, x: Tensor, state: MinLSTMState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MinLSTMState]:
        """A sequence [B, T, I] to hidden states [B, T, H], by a scan."""
        check_sequence(x, lengths, self.input_size, "minlstm")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        forget, enter, value = self._project(zero_padding(x, lengths))
        outputs = min_lstm_scan(forget, enter, value, state.hidden, lengths, positive=self.positive)
        return outputs, MinLSTMState(last_real(outputs, state.hidden, lengths))

    def _project(self, x: Tensor) -> tuple[Tensor, ...]:
        # Under autocast the product is in half precision; the memory stays in full precision.
        return columns(linear(x, self.input_weight, self.bias).to(self.bias.dtype), 3)
