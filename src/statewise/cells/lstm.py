"""The long short-term memory of Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000.

With x the input, h the hidden state, c the cell, k the recurrent-dropout mask and ⊙ elementwise:

    i, f, g, o = split(W x + U (k ⊙ h) + b)
    c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)
    h' = σ(o) ⊙ tanh(c')

Layer norm (Ba, Kiros and Hinton 2016, equations 20 to 22): W x and U (k ⊙ h) are normalised each, and so is
c' inside the last tanh.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.start import Initial, Start, check_rate, keep_mask
from statewise.cells.weights import gate_bias, input_weight, recurrent_weight
from statewise.ops.linear_scan import linear_scan
from statewise.ops.lstm_scan import lstm_scan
from statewise.recurrence import Recurrence, check_sequence, last_real, run_steps, zero_padding


class LSTMState(NamedTuple):
    """The memory of an LSTM: what it says, what it knows, and the recurrent-dropout mask ([B, 0] if none)."""

    hidden: Tensor  # [B, H]
    cell: Tensor  # [B, H]
    keep: Tensor  # [B, H] or [B, 0]


class LSTM(Recurrence):
    """One layer of long short-term memory: x [B, T, I] to hidden states [B, T, H].

    `recurrent_dropout` drops parts of h on the loop, the same parts at every step of a sequence.
    The forget gate starts at bias 1, the recurrent weights orthogonal. Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        initial: Initial = "zero",
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.recurrent_dropout = check_rate(recurrent_dropout, "recurrent_dropout")
        self.layer_norm = layer_norm
        self.input_weight = input_weight(4, hidden_size, input_size)
        self.recurrent_weight = recurrent_weight(4, hidden_size)
        self.bias = gate_bias(4, hidden_size, open_gate=1)
        if layer_norm:
            self.input_norm = nn.LayerNorm(4 * hidden_size, bias=False)
            self.recurrent_norm = nn.LayerNorm(4 * hidden_size, bias=False)
            self.cell_norm = nn.LayerNorm(hidden_size)
        self.initial_hidden, self.initial_cell = Start(initial, hidden_size), Start(initial, hidden_size)

    def initial_state(self, batch: int) -> LSTMState:
        """The start of `batch` rows, with a fresh recurrent-dropout mask."""
        like = self.recurrent_weight
        keep = keep_mask(batch, self.hidden_size, self.recurrent_dropout, self.training, like)
        return LSTMState(self.initial_hidden(batch, like), self.initial_cell(batch, like), keep)

    def step(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """One observation [B, I] to the hidden state [B, H]."""
        if self.layer_norm or self._dropping():
            return self._update(self._project(x), state)
        before = (state.hidden, state.cell)
        hidden, cell = torch.lstm_cell(x, before, self.input_weight, self.recurrent_weight, self.bias, None)
        return hidden, LSTMState(hidden, cell, state.keep)

    def forward(
        self, x: Tensor, state: LSTMState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, LSTMState]:
        """A sequence [B, T, I] to hidden states [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "lstm")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        x = zero_padding(x, lengths)
        if self.layer_norm:
            return self._loop(x, state, lengths)
        return self._scan(x, state, lengths) if self._dropping() else self._fused(x, state, lengths)

    def _dropping(self) -> bool:
        return self.training and self.recurrent_dropout > 0.0

    def _project(self, x: Tensor) -> Tensor:
        if not self.layer_norm:
            return functional.linear(x, self.input_weight, self.bias)
        normed: Tensor = self.input_norm(functional.linear(x, self.input_weight))
        return normed + self.bias

    def _gates(self, projected: Tensor, hidden: Tensor) -> tuple[Tensor, ...]:
        recurrent = functional.linear(hidden, self.recurrent_weight)
        if self.layer_norm:
            recurrent = self.recurrent_norm(recurrent)
        i, f, g, o = (projected + recurrent).chunk(4, dim=-1)
        return i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()

    def _update(self, projected: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        dropped = state.hidden * state.keep if self._dropping() else state.hidden
        i, f, g, o = self._gates(projected, dropped)
        cell = f * state.cell + i * g
        seen = self.cell_norm(cell) if self.layer_norm else cell
        hidden = o * seen.tanh()
        return hidden, LSTMState(hidden, cell, state.keep)

    def _loop(self, x: Tensor, state: LSTMState, lengths: Tensor | None) -> tuple[Tensor, LSTMState]:
        return run_steps(self._update, self._project(x), state, lengths)

    def _fused(self, x: Tensor, state: LSTMState, lengths: Tensor | None) -> tuple[Tensor, LSTMState]:
        weights = (self.input_weight, self.recurrent_weight, self.bias, torch.zeros_like(self.bias))
        before = (state.hidden.unsqueeze(0), state.cell.unsqueeze(0))
        outputs, _, cell = torch.lstm(x, before, weights, True, 1, 0.0, self.training, False, True)
        # Under autocast the products are in half precision; the memory stays in full precision.
        outputs, cell = outputs.to(state.hidden.dtype), cell.to(state.cell.dtype)
        if lengths is None:
            return outputs, LSTMState(outputs[:, -1], cell.squeeze(0), state.keep)
        # The fused form gives no cells on the way, but given the hidden states they are linear in each other.
        i, f, g, _ = self._gates(self._project(x), torch.cat((state.hidden.unsqueeze(1), outputs[:, :-1]), 1))
        return _finish(outputs, linear_scan(f, i * g, state.cell), state, lengths)

    def _scan(self, x: Tensor, state: LSTMState, lengths: Tensor | None) -> tuple[Tensor, LSTMState]:
        projected = self._project(x.transpose(0, 1).contiguous())
        outputs, cells = lstm_scan(projected, self.recurrent_weight, state.hidden, state.cell, state.keep)
        return _finish(outputs.transpose(0, 1), cells.transpose(0, 1), state, lengths)


def _finish(
    outputs: Tensor, cells: Tensor, state: LSTMState, lengths: Tensor | None
) -> tuple[Tensor, LSTMState]:
    hidden, cell = last_real(outputs, state.hidden, lengths), last_real(cells, state.cell, lengths)
    return zero_padding(outputs, lengths), LSTMState(hidden, cell, state.keep)
