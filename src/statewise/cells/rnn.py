"""The simple recurrent network of Elman 1990.

With x the input, h the hidden state, k the recurrent-dropout mask and ⊙ elementwise:

    h' = φ(W x + U (k ⊙ h) + b),   φ = tanh or ReLU

Layer norm (Ba, Kiros and Hinton 2016, equation 4): W x + U (k ⊙ h) is normalised before b is added.
Zoneout (Krueger et al. 2017): a unit keeps its old h with the given probability, drawn at every step.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from statewise.cells.start import Initial, Start, check_rate, keep_mask
from statewise.cells.weights import gate_bias, input_weight, recurrent_weight
from statewise.cells.zoneout import Zone, start_draws, zones
from statewise.core.errors import ConfigError, suggestion
from statewise.ops.linear import linear
from statewise.ops.native import native_for
from statewise.ops.ragged import pack, unpack
from statewise.ops.rnn_scan import RNNLoop, rnn_scan, rnn_update
from statewise.recurrence import Recurrence, check_sequence, last_real, run_steps, zero_padding

Nonlinearity = Literal["tanh", "relu"]


class RNNState(NamedTuple):
    """The memory, the recurrent-dropout mask and what zoneout draws from ([B, 0] if none)."""

    hidden: Tensor  # [B, H]
    keep: Tensor  # [B, H] or [B, 0]
    draws: Tensor  # [B, 2] or [B, 0]


class RNN(Recurrence):
    """One layer of a simple recurrent network: x [B, T, I] to hidden states [B, T, H].

    `recurrent_dropout` drops parts of h on the loop, the same parts at every step of a sequence; `zoneout`
    lets units keep their old value, others at every step.
    The recurrent weights start orthogonal. Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: Nonlinearity = "tanh",
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        zoneout: float = 0.0,
        initial: Initial = "zero",
    ) -> None:
        super().__init__()
        if nonlinearity not in get_args(Nonlinearity):
            known = suggestion(nonlinearity, get_args(Nonlinearity))
            raise ConfigError(f"nonlinearity: no such nonlinearity '{nonlinearity}'.{known}")
        self.input_size, self.hidden_size = input_size, hidden_size
        self.recurrent_dropout = check_rate(recurrent_dropout, "recurrent_dropout")
        self.zoneout = check_rate(zoneout, "zoneout")
        self.nonlinearity, self.layer_norm = nonlinearity, layer_norm
        self.input_weight = input_weight(1, hidden_size, input_size)
        self.recurrent_weight = recurrent_weight(1, hidden_size)
        self.bias = gate_bias(1, hidden_size)
        if layer_norm:
            self.norm = nn.LayerNorm(hidden_size, bias=False)
        self.initial_hidden = Start(initial, hidden_size)

    def initial_state(self, batch: int) -> RNNState:
        """The start of `batch` rows, with a fresh recurrent-dropout mask and fresh draws of zoneout."""
        like = self.recurrent_weight
        keep = keep_mask(batch, self.hidden_size, self.recurrent_dropout, self.training, like)
        return RNNState(self.initial_hidden(batch, like), keep, start_draws(batch, self.zoneout, like))

    def step(self, x: Tensor, state: RNNState) -> tuple[Tensor, RNNState]:
        """One observation [B, I] to the hidden state [B, H]."""
        return self._update(self._project(x), state)

    def forward(
        self, x: Tensor, state: RNNState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, RNNState]:
        """A sequence [B, T, I] to hidden states [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "rnn")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        if native_for(x, state.hidden, self.recurrent_weight) is not None:
            return self._native(x, state, lengths)
        x = zero_padding(x, lengths)
        return self._fused(x, state, lengths) if self._plain() else self._loop(x, state, lengths)

    def _dropping(self) -> bool:
        return self.training and self.recurrent_dropout > 0.0

    def _plain(self) -> bool:
        return not (self.layer_norm or self.zoneout or self._dropping())

    def _project(self, x: Tensor) -> Tensor:
        return linear(x, self.input_weight, None if self.layer_norm else self.bias)

    def _inside(self, state: RNNState, zone: Zone) -> RNNLoop:
        keep = state.keep if self._dropping() else None
        gain, bias = (self.norm.weight, self.bias) if self.layer_norm else (None, None)
        return RNNLoop(keep, zone.stay, zone.rate, gain, bias, self.nonlinearity == "relu")

    def _zone(self, state: RNNState, time: int = 1, lengths: Tensor | None = None) -> tuple[Zone, Tensor]:
        width, like = (self.hidden_size,), state.hidden
        found, draws = zones(state.draws, (self.zoneout,), width, self.training, like, time, lengths)
        return found[0], draws

    def _update(self, projected: Tensor, state: RNNState) -> tuple[Tensor, RNNState]:
        zone, draws = self._zone(state)
        loop = self._inside(state, zone)
        hidden = rnn_update(projected, state.hidden, self.recurrent_weight, loop, zone.value)
        return hidden, RNNState(hidden, state.keep, draws)

    def _native(self, x: Tensor, state: RNNState, lengths: Tensor | None) -> tuple[Tensor, RNNState]:
        zone, draws = self._zone(state, x.shape[1], lengths)
        projected = self._project(pack(x, lengths)).to(state.hidden.dtype)
        loop = self._inside(state, zone)
        steps, hidden = rnn_scan(projected, self.recurrent_weight, state.hidden, loop, lengths)
        return unpack(steps, lengths, *x.shape[:2]), RNNState(hidden, state.keep, draws)

    def _loop(self, x: Tensor, state: RNNState, lengths: Tensor | None) -> tuple[Tensor, RNNState]:
        return run_steps(self._update, self._project(x), state, lengths)

    def _fused(self, x: Tensor, state: RNNState, lengths: Tensor | None) -> tuple[Tensor, RNNState]:
        run = torch.rnn_tanh if self.nonlinearity == "tanh" else torch.rnn_relu
        weights = (self.input_weight, self.recurrent_weight, self.bias, torch.zeros_like(self.bias))
        outputs, _ = run(
            x, state.hidden.unsqueeze(0), weights, True, 1, 0.0, torch.is_grad_enabled(), False, True
        )
        outputs = outputs.to(state.hidden.dtype)
        final = state._replace(hidden=last_real(outputs, state.hidden, lengths))
        return zero_padding(outputs, lengths), final
