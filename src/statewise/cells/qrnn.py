"""The quasi-recurrent network of Bradbury et al. 2016, with fo-pooling.

With w = (x_{t-k+1}, …, x_t) the last k = `window` inputs side by side, c the cell and ⊙ elementwise:

    z, f, o = tanh(W_z w + b_z), σ(W_f w + b_f), σ(W_o w + b_o)      equations 1 and 2
    c' = f ⊙ c + (1 - f) ⊙ z                                         equation 4
    y  = o ⊙ c'

Zoneout (Krueger et al. 2017; the paper's section 2.1): in training 1 - f is zeroed with that probability,
drawn at every step, so that the unit keeps its old value; in evaluation it is scaled by what is left on
average.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from statewise.cells.checks import at_least
from statewise.cells.start import Initial, Start, check_rate
from statewise.cells.weights import gate_bias, input_weight
from statewise.cells.zoneout import start_draws, zones
from statewise.ops.linear import linear
from statewise.ops.linear_scan import linear_scan
from statewise.ops.min_gru_scan import min_gru_scan
from statewise.ops.window import last_inputs
from statewise.recurrence import Recurrence, check_sequence, last_real, zero_padding


class QRNNState(NamedTuple):
    """The memory, the inputs that the window still needs, and what zoneout draws from ([B, 0] if none)."""

    cell: Tensor  # [B, H]
    inputs: Tensor  # [B, window - 1, I], oldest first
    draws: Tensor  # [B, 2] or [B, 0]


class QRNN(Recurrence):
    """One layer of a quasi-recurrent network: x [B, T, I] to gated cells [B, T, H].

    `window` is the width of the convolution over the inputs: with 2 every gate also sees the input before.
    The forget gate starts at bias 1. Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        window: int = 2,
        zoneout: float = 0.0,
        initial: Initial = "zero",
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.window = at_least(window, 1, "window")
        self.zoneout = check_rate(zoneout, "zoneout")
        self.input_weight = input_weight(3, hidden_size, self.window * input_size)
        self.bias = gate_bias(3, hidden_size, open_gate=1)
        self.initial_cell = Start(initial, hidden_size)

    def initial_state(self, batch: int) -> QRNNState:
        """The start of `batch` rows: zeros before the first input."""
        inputs = self.bias.new_zeros(batch, self.window - 1, self.input_size)
        draws = start_draws(batch, self.zoneout, self.bias)
        return QRNNState(self.initial_cell(batch, self.bias), inputs, draws)

    def step(self, x: Tensor, state: QRNNState) -> tuple[Tensor, QRNNState]:
        """One observation [B, I] to the gated cell [B, H]."""
        line = torch.cat((state.inputs, x.unsqueeze(1)), dim=1)
        z, f, o = self._project(line.flatten(1))
        enters, draws = self._enters(f.unsqueeze(1), state.draws, None)
        cell = torch.lerp(state.cell, z.tanh(), enters.squeeze(1))
        return o.sigmoid() * cell, QRNNState(cell, line[:, 1:], draws)

    def forward(
        self, x: Tensor, state: QRNNState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, QRNNState]:
        """A sequence [B, T, I] to gated cells [B, T, H], by a scan."""
        check_sequence(x, lengths, self.input_size, "qrnn")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        line = torch.cat((state.inputs, zero_padding(x, lengths)), dim=1)
        windows = [line[:, start : start + x.shape[1]] for start in range(self.window)]
        z, f, o = self._project(torch.cat(windows, dim=-1))
        draws = state.draws
        if self.zoneout:
            enters, draws = self._enters(f, draws, lengths)
            cells = linear_scan(1 - enters, enters * z.tanh(), state.cell, lengths)
        else:
            cells = min_gru_scan(-f, z.tanh(), state.cell, lengths)
        inputs = last_inputs(line, self.window - 1, lengths)
        return o.sigmoid() * cells, QRNNState(last_real(cells, state.cell, lengths), inputs, draws)

    def _project(self, window: Tensor) -> tuple[Tensor, ...]:
        return linear(window, self.input_weight, self.bias).to(self.bias.dtype).chunk(3, dim=-1)

    def _enters(self, f: Tensor, draws: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """1 - f [B, T, H] under zoneout, and the draws after it."""
        share, (batch, time, size) = (-f).sigmoid(), f.shape
        (zone,), after = zones(draws, (self.zoneout,), (size,), self.training, share, time)
        if zone.stay is None:
            return share * (1 - zone.rate), draws
        if lengths is not None:
            after = torch.stack((draws[:, 0], draws[:, 1] + lengths), dim=1)
        return share * (1 - zone.stay.view(batch, time, size)), after
