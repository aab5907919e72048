"""Mamba, the selective state space block of Gu and Dao 2023 (section 3.4, algorithm 2).

With x the input, E = expand · H inner channels and N states per channel, ⊙ elementwise:

    u, z    = split(W_in x)                          [E] each
    u       = silu(conv(u))                          causal, every channel by itself, `conv_size` wide
    δ, B, C = split(W_x u)                           [R], [N], [N]; R = ⌈H / 16⌉
    Δ       = softplus(W_Δ δ + b_Δ)                  [E]
    s'      = exp(Δ A) ⊙ s + Δ B u                   [E, N];  A = -exp(A_log), which starts at -1 … -N
    y       = W_out ((C · s' + D ⊙ u) ⊙ silu(z))     [H]

Δ starts log-uniform between `step_min` and `step_max` (section 3.6, after S4). negative_eigenvalues=True
takes 2 exp(Δ A) - 1 in place of exp(Δ A) (Grazzi et al. 2024, section 4): a state can then change its sign at
every step, which parity and other state tracking need.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import above_zero, at_least, between
from statewise.ops.causal_conv import causal_conv
from statewise.ops.linear import linear
from statewise.ops.linear_scan import linear_scan
from statewise.ops.selective_scan import selective_scan
from statewise.recurrence import Recurrence, check_sequence, last_real, zero_padding


class MambaState(NamedTuple):
    """The memory of a Mamba block: the inputs the convolution still needs, and the selective states."""

    inputs: Tensor  # [B, conv_size - 1, E], oldest first
    states: Tensor  # [B, E, N]


class Mamba(Recurrence):
    """One Mamba block: x [B, T, I] to [B, T, H], by a selective scan.

    negative_eigenvalues=True runs a plain scan over all E · N states, which takes much more memory in
    training. Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        state_size: int = 16,
        expand: int = 2,
        conv_size: int = 4,
        step_min: float = 0.001,
        step_max: float = 0.1,
        negative_eigenvalues: bool = False,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.state_size = at_least(state_size, 1, "state_size")
        self.conv_size = at_least(conv_size, 1, "conv_size")
        self.inner = inner = at_least(expand, 1, "expand") * hidden_size
        self.rank = rank = math.ceil(hidden_size / 16)
        self.negative_eigenvalues = negative_eigenvalues
        above_zero(step_max, "step_max")
        between(above_zero(step_min, "step_min"), 0.0, step_max, "step_min")
        self.input_weight = _uniform(2 * inner, input_size)
        self.conv_weight = _uniform(inner, conv_size)
        self.conv_bias = nn.Parameter(torch.empty(inner).uniform_(-(conv_size**-0.5), conv_size**-0.5))
        self.select_weight = _uniform(rank + 2 * state_size, inner)
        self.step_weight = _uniform(inner, rank)
        steps = torch.empty(inner).uniform_(math.log(step_min), math.log(step_max)).exp()
        self.step_bias = nn.Parameter(steps + torch.log(-torch.expm1(-steps)))  # softplus of it gives `steps`
        # A vector, [E · N], for what the optimiser makes of it: A takes no weight decay in the released code.
        self.log_decay = nn.Parameter(torch.arange(1.0, state_size + 1).log().repeat(inner))
        self.around = nn.Parameter(torch.ones(inner))
        self.output_weight = _uniform(hidden_size, inner)

    def initial_state(self, batch: int) -> MambaState:
        """Zeros for `batch` rows."""
        like = self.around
        inputs = like.new_zeros(batch, self.conv_size - 1, self.inner)
        return MambaState(inputs, like.new_zeros(batch, self.inner, self.state_size))

    def step(self, x: Tensor, state: MambaState) -> tuple[Tensor, MambaState]:
        """One observation [B, I] to [B, H]."""
        u, z = self._branches(x)
        line = torch.cat((state.inputs, u.unsqueeze(1)), dim=1)
        u = functional.silu((line * self.conv_weight.t()).sum(dim=1) + self.conv_bias)
        delta, B, C = self._select(u)
        delta = functional.softplus(delta + self.step_bias).unsqueeze(-1)
        decay = self._signed(torch.exp(delta * self._decay()))
        states = decay * state.states + delta * B.unsqueeze(1) * u.unsqueeze(-1)
        y = (states @ C.unsqueeze(-1)).squeeze(-1) + self.around * u
        return self._output(y * functional.silu(z)), MambaState(line[:, 1:], states)

    def forward(
        self, x: Tensor, state: MambaState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MambaState]:
        """A sequence [B, T, I] to [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "mamba")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        u, z = self._branches(zero_padding(x, lengths))
        u, inputs = causal_conv(u, self.conv_weight, self.conv_bias, state.inputs, silu=True, lengths=lengths)
        delta, B, C = self._select(u)
        if self.negative_eigenvalues:
            y, states = self._signed_scan(u, delta, B, C, z, state.states, lengths)
        else:
            y, states = selective_scan(
                u,
                delta,
                self._decay(),
                B,
                C,
                self.around,
                state.states,
                gate=z,
                delta_bias=self.step_bias,
                lengths=lengths,
            )
        return self._output(y), MambaState(inputs, states)

    def _branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # A product for each: their gradients then need not be put together again.
        u_weight, z_weight = self.input_weight.chunk(2)
        dtype = self.around.dtype
        return linear(x, u_weight).to(dtype), linear(x, z_weight).to(dtype)

    def _select(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Δ before its bias and softplus, B and C."""
        selected = linear(u, self.select_weight).to(self.around.dtype)
        delta, B, C = torch.split(selected, [self.rank, self.state_size, self.state_size], dim=-1)
        return linear(delta, self.step_weight).to(self.around.dtype), B, C

    def _decay(self) -> Tensor:
        return -self.log_decay.view(self.inner, self.state_size).exp()

    def _signed(self, decay: Tensor) -> Tensor:
        return 2 * decay - 1 if self.negative_eigenvalues else decay

    def _signed_scan(
        self,
        u: Tensor,
        delta: Tensor,
        B: Tensor,
        C: Tensor,
        z: Tensor,
        initial: Tensor,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        delta = functional.softplus(delta + self.step_bias).unsqueeze(-1)
        decay = self._signed(torch.exp(delta * self._decay()))
        states = linear_scan(decay, delta * B.unsqueeze(2) * u.unsqueeze(-1), initial, lengths)
        y = (states @ C.unsqueeze(-1)).squeeze(-1) + self.around * u
        return y * functional.silu(z), last_real(states, initial, lengths)

    def _output(self, y: Tensor) -> Tensor:
        return linear(y, self.output_weight).to(self.around.dtype)


def _uniform(size: int, fan: int) -> nn.Parameter:
    """[size, fan], uniform in ±1/√fan, as torch.nn.Linear and Conv1d start."""
    return nn.Parameter(torch.empty(size, fan).uniform_(-(fan**-0.5), fan**-0.5))
