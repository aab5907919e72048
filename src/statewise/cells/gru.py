"""The gated recurrent unit of Cho et al. 2014, in the two forms in use.

With x the input, h the hidden state, k the recurrent-dropout mask and ⊙ elementwise:

    r = σ(W_r x + b_r + U_r (k ⊙ h) + d_r)                   reset
    z = σ(W_z x + b_z + U_z (k ⊙ h) + d_z)                   update: how much of the old state stays
    n = tanh(W_n x + b_n + r ⊙ (U_n (k ⊙ h) + d_n))          reset_after=True  (cuDNN, torch, the default)
    n = tanh(W_n x + b_n + U_n (r ⊙ k ⊙ h) + d_n)            reset_after=False (equation 8 of the paper)
    h' = (1 - z) ⊙ n + z ⊙ h

Layer norm (after Ba, Kiros and Hinton 2016): W x, the recurrent part of r and z, and that of n are normalised
each. Zoneout (Krueger et al. 2017): a unit keeps its old h with the given probability, drawn at every step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from statewise.cells.start import Initial, Start, check_rate, keep_mask
from statewise.cells.weights import gate_bias, input_weight, recurrent_weight
from statewise.cells.zoneout import Zone, start_draws, zones
from statewise.ops.gru_by_hand import gru_by_hand
from statewise.ops.gru_scan import GRULoop, gru_scan, gru_update
from statewise.ops.linear import linear
from statewise.ops.native import native_for
from statewise.ops.ragged import pack, unpack
from statewise.recurrence import Recurrence, check_sequence, last_real, run_steps, zero_padding


class GRUState(NamedTuple):
    """The memory of a GRU, its recurrent-dropout mask and what zoneout draws from ([B, 0] if none)."""

    hidden: Tensor  # [B, H]
    keep: Tensor  # [B, H] or [B, 0]
    draws: Tensor  # [B, 2] or [B, 0]


class GRU(Recurrence):
    """One layer of gated recurrent units: x [B, T, I] to hidden states [B, T, H].

    `recurrent_dropout` drops parts of h on its way to the gates, the same parts at every step of a sequence;
    `zoneout` lets units keep their old value, others at every step.
    The update gate starts at bias 1, the recurrent weights orthogonal. Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        reset_after: bool = True,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        initial: Initial = "zero",
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.recurrent_dropout = check_rate(recurrent_dropout, "recurrent_dropout")
        self.zoneout = check_rate(zoneout, "zoneout")
        self.reset_after, self.layer_norm = reset_after, layer_norm
        self.input_weight = input_weight(3, hidden_size, input_size)
        self.recurrent_weight = recurrent_weight(3, hidden_size)
        self.input_bias = gate_bias(3, hidden_size, open_gate=1)
        self.recurrent_bias = gate_bias(3, hidden_size)
        if layer_norm:
            self.input_norm = nn.LayerNorm(3 * hidden_size, bias=False)
            self.gate_norm = nn.LayerNorm(2 * hidden_size, bias=False)
            self.candidate_norm = nn.LayerNorm(hidden_size, bias=False)
        self.initial_hidden = Start(initial, hidden_size)

    def initial_state(self, batch: int) -> GRUState:
        """The start of `batch` rows, with a fresh recurrent-dropout mask and fresh draws of zoneout."""
        like = self.recurrent_weight
        keep = keep_mask(batch, self.hidden_size, self.recurrent_dropout, self.training, like)
        return GRUState(self.initial_hidden(batch, like), keep, start_draws(batch, self.zoneout, like))

    def step(self, x: Tensor, state: GRUState) -> tuple[Tensor, GRUState]:
        """One observation [B, I] to the hidden state [B, H]."""
        if not self._plain():
            return self._update(self._project(x), state)
        weights = (self.input_weight, self.recurrent_weight, self.input_bias, self.recurrent_bias)
        hidden = torch.gru_cell(x, state.hidden, *weights)
        return hidden, state._replace(hidden=hidden)

    def forward(
        self, x: Tensor, state: GRUState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, GRUState]:
        """A sequence [B, T, I] to hidden states [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "gru")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        if native_for(x, state.hidden, self.recurrent_weight) is not None:
            return self._native(x, state, lengths)
        x = zero_padding(x, lengths)
        if self.layer_norm or self.zoneout or not self.reset_after:
            return self._loop(x, state, lengths)
        # Each form where it is the fastest: torch's on an accelerator or without a gradient to keep.
        if not self._dropping() and (x.is_cuda or not torch.is_grad_enabled()):
            return self._fused(x, state, lengths)
        return self._by_hand(x, state, lengths)

    def _dropping(self) -> bool:
        return self.training and self.recurrent_dropout > 0.0

    def _plain(self) -> bool:
        return self.reset_after and not (self.layer_norm or self.zoneout or self._dropping())

    def _project(self, x: Tensor) -> Tensor:
        if not self.layer_norm:
            return linear(x, self.input_weight, self.input_bias)
        normed: Tensor = self.input_norm(linear(x, self.input_weight))
        return normed + self.input_bias

    def _inside(self, state: GRUState, zone: Zone) -> GRULoop:
        keep = state.keep if self._dropping() else None
        loop = GRULoop(keep, zone.stay, zone.rate, reset_after=self.reset_after)
        if not self.layer_norm:
            return loop
        return loop._replace(gate_gain=self.gate_norm.weight, candidate_gain=self.candidate_norm.weight)

    def _zone(self, state: GRUState, time: int = 1, lengths: Tensor | None = None) -> tuple[Zone, Tensor]:
        width, like = (self.hidden_size,), state.hidden
        found, draws = zones(state.draws, (self.zoneout,), width, self.training, like, time, lengths)
        return found[0], draws

    def _update(self, projected: Tensor, state: GRUState) -> tuple[Tensor, GRUState]:
        zone, draws = self._zone(state)
        weights = (self.recurrent_weight, self.recurrent_bias)
        hidden = gru_update(projected, state.hidden, *weights, self._inside(state, zone), zone.value)
        return hidden, GRUState(hidden, state.keep, draws)

    def _native(self, x: Tensor, state: GRUState, lengths: Tensor | None) -> tuple[Tensor, GRUState]:
        zone, draws = self._zone(state, x.shape[1], lengths)
        projected = self._project(pack(x, lengths)).to(state.hidden.dtype)
        weights = (self.recurrent_weight, self.recurrent_bias)
        steps, hidden = gru_scan(projected, *weights, state.hidden, self._inside(state, zone), lengths)
        return unpack(steps, lengths, *x.shape[:2]), GRUState(hidden, state.keep, draws)

    def _loop(self, x: Tensor, state: GRUState, lengths: Tensor | None) -> tuple[Tensor, GRUState]:
        return run_steps(self._update, self._project(x), state, lengths)

    def _fused(self, x: Tensor, state: GRUState, lengths: Tensor | None) -> tuple[Tensor, GRUState]:
        weights = (self.input_weight, self.recurrent_weight, self.input_bias, self.recurrent_bias)
        before = state.hidden.unsqueeze(0)
        outputs, _ = torch.gru(x, before, weights, True, 1, 0.0, torch.is_grad_enabled(), False, True)
        return self._finish(outputs, state, lengths)

    def _by_hand(self, x: Tensor, state: GRUState, lengths: Tensor | None) -> tuple[Tensor, GRUState]:
        keep = state.keep if self._dropping() else state.keep[:, :0]
        projected = self._project(x.transpose(0, 1).contiguous())
        outputs = gru_by_hand(projected, self.recurrent_weight, self.recurrent_bias, state.hidden, keep)
        return self._finish(outputs.transpose(0, 1), state, lengths)

    def _finish(self, outputs: Tensor, state: GRUState, lengths: Tensor | None) -> tuple[Tensor, GRUState]:
        final = state._replace(hidden=last_real(outputs, state.hidden, lengths))
        return zero_padding(outputs, lengths), final
