"""The long short-term memory of Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000.

With x the input, h the hidden state, c the cell, k the recurrent-dropout mask and ⊙ elementwise:

    i, f, g, o = split(W x + U (k ⊙ h) + b)
    c' = σ(f) ⊙ c + σ(i) ⊙ tanh(g)
    h' = σ(o) ⊙ tanh(c')

Options, which go together in any way:

    layer norm     W x and U (k ⊙ h) are normalised each, and c' inside the last tanh
                   (Ba, Kiros and Hinton 2016, equations 20 to 22)
    peephole       i and f also see w ⊙ c, o sees w ⊙ c' (Gers and Schmidhuber 2000)
    coupled gates  i = 1 - f instead of an input gate of its own (Greff et al. 2017)
    projection     h' = P (σ(o) ⊙ tanh(c')), shorter than the cell (Sak, Senior and Beaufays 2014)
    zoneout        units of h and c keep their old value with the given probability (Krueger et al. 2017)
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from statewise.cells.checks import at_least
from statewise.cells.start import Initial, Start, check_rate, keep_mask
from statewise.cells.weights import gate_bias, input_weight, recurrent_weight
from statewise.cells.zoneout import Zone, start_draws, zones
from statewise.ops.linear import linear
from statewise.ops.linear_scan import linear_scan
from statewise.ops.lstm_by_hand import lstm_by_hand
from statewise.ops.lstm_scan import LSTMLoop, lstm_scan, lstm_update
from statewise.ops.native import native_for
from statewise.ops.ragged import pack, unpack
from statewise.recurrence import Recurrence, check_sequence, last_real, run_steps, zero_padding


class LSTMState(NamedTuple):
    """The memory: what it says, what it knows, the dropout mask, what zoneout draws from ([B, 0] if none)."""

    hidden: Tensor  # [B, H], or [B, projection_size]
    cell: Tensor  # [B, H]
    keep: Tensor  # as hidden, or [B, 0]
    draws: Tensor  # [B, 2] or [B, 0]


class LSTM(Recurrence):
    """One layer of long short-term memory: x [B, T, I] to hidden states [B, T, H].

    `recurrent_dropout` drops parts of h on the loop, the same parts at every step of a sequence; `zoneout`
    and `zoneout_cell` let units of h and of c keep their old value, others at every step. With
    `projection_size` the outputs are [B, T, projection_size]. The forget gate starts at bias 1, the recurrent
    weights orthogonal. Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        zoneout_cell: float = 0.0,
        peephole: bool = False,
        coupled_gates: bool = False,
        projection_size: int = 0,
        initial: Initial = "zero",
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.recurrent_dropout = check_rate(recurrent_dropout, "recurrent_dropout")
        self.zoneout = check_rate(zoneout, "zoneout")
        self.zoneout_cell = check_rate(zoneout_cell, "zoneout_cell")
        self.layer_norm, self.peephole, self.coupled_gates = layer_norm, peephole, coupled_gates
        self.projection_size = at_least(projection_size, 0, "projection_size")
        self.output_size = projection_size or hidden_size
        gates = 3 if coupled_gates else 4
        self.input_weight = input_weight(gates, hidden_size, input_size)
        self.recurrent_weight = recurrent_weight(gates, hidden_size, self.output_size)
        self.bias = gate_bias(gates, hidden_size, open_gate=gates - 3)
        if layer_norm:
            self.input_norm = nn.LayerNorm(gates * hidden_size, bias=False)
            self.recurrent_norm = nn.LayerNorm(gates * hidden_size, bias=False)
            self.cell_norm = nn.LayerNorm(hidden_size)
        if peephole:
            self.peephole_weight = nn.Parameter(
                torch.zeros(gates - 1, hidden_size)
            )  # (input,) forget, output
        if projection_size:
            self.projection_weight = input_weight(1, projection_size, hidden_size)
        self.initial_hidden, self.initial_cell = Start(initial, self.output_size), Start(initial, hidden_size)

    def initial_state(self, batch: int) -> LSTMState:
        """The start of `batch` rows, with a fresh recurrent-dropout mask and fresh draws of zoneout."""
        like = self.recurrent_weight
        keep = keep_mask(batch, self.output_size, self.recurrent_dropout, self.training, like)
        draws = start_draws(batch, max(self.zoneout, self.zoneout_cell), like)
        return LSTMState(self.initial_hidden(batch, like), self.initial_cell(batch, like), keep, draws)

    def step(self, x: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        """One observation [B, I] to the hidden state [B, H]."""
        if self._changed() or self._dropping():
            return self._update(self._project(x), state)
        before = (state.hidden, state.cell)
        hidden, cell = torch.lstm_cell(x, before, self.input_weight, self.recurrent_weight, self.bias, None)
        return hidden, state._replace(hidden=hidden, cell=cell)

    def forward(
        self, x: Tensor, state: LSTMState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, LSTMState]:
        """A sequence [B, T, I] to hidden states [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "lstm")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.output_size), state
        if native_for(x, state.hidden, self.recurrent_weight) is not None:
            return self._native(x, state, lengths)
        x = zero_padding(x, lengths)
        if self._changed():
            return self._loop(x, state, lengths)
        return self._by_hand(x, state, lengths) if self._dropping() else self._fused(x, state, lengths)

    def _dropping(self) -> bool:
        return self.training and self.recurrent_dropout > 0.0

    def _changed(self) -> bool:
        """Whether an option changes the equations."""
        zoning = self.zoneout > 0.0 or self.zoneout_cell > 0.0
        return self.layer_norm or self.peephole or self.coupled_gates or self.projection_size > 0 or zoning

    def _project(self, x: Tensor) -> Tensor:
        if not self.layer_norm:
            return linear(x, self.input_weight, self.bias)
        normed: Tensor = self.input_norm(linear(x, self.input_weight))
        return normed + self.bias

    def _inside(self, state: LSTMState, hidden: Zone, cell: Zone) -> LSTMLoop:
        loop = LSTMLoop(
            keep=state.keep if self._dropping() else None,
            stay_hidden=hidden.stay,
            stay_cell=cell.stay,
            rate_hidden=hidden.rate,
            rate_cell=cell.rate,
            peephole=self._peephole_weights(),
            projection=self.projection_weight if self.projection_size else None,
            coupled=self.coupled_gates,
        )
        if not self.layer_norm:
            return loop
        norm = self.cell_norm
        return loop._replace(gain=self.recurrent_norm.weight, cell_gain=norm.weight, cell_bias=norm.bias)

    def _peephole_weights(self) -> Tensor | None:
        if not self.peephole:
            return None
        # Coupled gates have no input gate of their own.
        return nn.functional.pad(self.peephole_weight, (0, 0, int(self.coupled_gates), 0))

    def _zones(
        self, state: LSTMState, time: int = 1, lengths: Tensor | None = None
    ) -> tuple[Zone, Zone, Tensor]:
        rates, widths = (self.zoneout, self.zoneout_cell), (self.output_size, self.hidden_size)
        (hidden, cell), draws = zones(state.draws, rates, widths, self.training, state.cell, time, lengths)
        return hidden, cell, draws

    def _update(self, projected: Tensor, state: LSTMState) -> tuple[Tensor, LSTMState]:
        zone, zone_cell, draws = self._zones(state)
        loop, now = self._inside(state, zone, zone_cell), (state.hidden, state.cell)
        stays = (zone.value, zone_cell.value)
        hidden, cell = lstm_update(projected, *now, self.recurrent_weight, loop, *stays)
        return hidden, LSTMState(hidden, cell, state.keep, draws)

    def _native(self, x: Tensor, state: LSTMState, lengths: Tensor | None) -> tuple[Tensor, LSTMState]:
        zone, zone_cell, draws = self._zones(state, x.shape[1], lengths)
        projected = self._project(pack(x, lengths)).to(state.hidden.dtype)
        loop, now = self._inside(state, zone, zone_cell), (state.hidden, state.cell)
        steps, hidden, cell = lstm_scan(projected, self.recurrent_weight, *now, loop, lengths)
        return unpack(steps, lengths, *x.shape[:2]), LSTMState(hidden, cell, state.keep, draws)

    def _loop(self, x: Tensor, state: LSTMState, lengths: Tensor | None) -> tuple[Tensor, LSTMState]:
        return run_steps(self._update, self._project(x), state, lengths)

    def _fused(self, x: Tensor, state: LSTMState, lengths: Tensor | None) -> tuple[Tensor, LSTMState]:
        weights = (self.input_weight, self.recurrent_weight, self.bias, torch.zeros_like(self.bias))
        before = (state.hidden.unsqueeze(0), state.cell.unsqueeze(0))
        outputs, _, cell = torch.lstm(x, before, weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
        # Under autocast the products are in half precision; the memory stays in full precision.
        outputs, cell = outputs.to(state.hidden.dtype), cell.to(state.cell.dtype)
        if lengths is None:
            return outputs, state._replace(hidden=outputs[:, -1], cell=cell.squeeze(0))
        # The fused form gives no cells on the way, but given the hidden states they are linear in each other.
        earlier = torch.cat((state.hidden.unsqueeze(1), outputs[:, :-1]), 1)
        i, f, g, _ = (self._project(x) + linear(earlier, self.recurrent_weight)).chunk(4, dim=-1)
        cells = linear_scan(f.sigmoid(), i.sigmoid() * g.tanh(), state.cell)
        return _finish(outputs, cells, state, lengths)

    def _by_hand(self, x: Tensor, state: LSTMState, lengths: Tensor | None) -> tuple[Tensor, LSTMState]:
        projected = self._project(x.transpose(0, 1).contiguous())
        outputs, cells = lstm_by_hand(projected, self.recurrent_weight, state.hidden, state.cell, state.keep)
        return _finish(outputs.transpose(0, 1), cells.transpose(0, 1), state, lengths)


def _finish(
    outputs: Tensor, cells: Tensor, state: LSTMState, lengths: Tensor | None
) -> tuple[Tensor, LSTMState]:
    hidden, cell = last_real(outputs, state.hidden, lengths), last_real(cells, state.cell, lengths)
    return zero_padding(outputs, lengths), state._replace(hidden=hidden, cell=cell)
