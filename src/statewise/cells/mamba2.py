"""The Mamba-2 block of Dao and Gu 2024, "Transformers are SSMs", section 7 and figure 6.

With u the input, S [P, N] the state of each head, ⊙ elementwise:

    z, xBC, r = W u                                 gate; values, keys and queries; raw step sizes
    x, B, C = silu(conv(xBC))                       over the last K steps, every channel by itself
    Δ = softplus(r + b),   a = exp(-exp(A) Δ)       one of each per head
    S' = a S + Δ x Bᵀ
    y = O rmsnorm((S' C + D x) ⊙ silu(z))
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import at_least
from statewise.cells.decay import HeadDecay
from statewise.ops.causal_conv import causal_conv
from statewise.ops.linear import linear
from statewise.ops.ssd import ssd, ssd_step
from statewise.recurrence import Recurrence, check_sequence, zero_padding


class Mamba2State(NamedTuple):
    """The memory of a Mamba-2 block: its convolution's last inputs and its heads."""

    tail: Tensor  # [B, K - 1, conv channels], oldest first
    memory: Tensor  # S [B, heads, P, N]


class Mamba2(Recurrence):
    """One Mamba-2 block: x [B, T, I] to [B, T, H].

    The inner width `expand` · H is split into `num_heads` heads of P features (rounded up), each with a state
    of P × `state_size`; B and C are shared by all heads. `conv_size` is K. Raises ShapeError, ConfigError.

    State per layer: expand · H · N + (K - 1)(expand · H + 2 N) floats. Cost per step: O(H² + H N).
    Form: chunks. Good for: long sequences, many at a time; forgets by content, one rate per head.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        state_size: int = 64,
        num_heads: int = 8,
        expand: int = 2,
        conv_size: int = 4,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.state_size = at_least(state_size, 1, "state_size")
        self.num_heads = at_least(num_heads, 1, "num_heads")
        self.conv_size = at_least(conv_size, 1, "conv_size")
        self.head_size = -(-at_least(expand, 1, "expand") * hidden_size // num_heads)
        self.inner = num_heads * self.head_size
        channels = self.inner + 2 * state_size
        self.input = nn.Linear(input_size, self.inner + channels + num_heads, bias=False)
        reach = conv_size**-0.5
        self.conv_weight = nn.Parameter(torch.empty(channels, conv_size).uniform_(-reach, reach))
        self.conv_bias = nn.Parameter(torch.empty(channels).uniform_(-reach, reach))
        self.decay = HeadDecay(num_heads, (1.0, 16.0))
        self.skip = nn.Parameter(torch.ones(num_heads))
        self.norm_weight = nn.Parameter(torch.ones(self.inner))
        self.output = nn.Linear(self.inner, hidden_size, bias=False)

    def initial_state(self, batch: int) -> Mamba2State:
        """Zeros."""
        like = self.conv_weight
        tail = like.new_zeros(batch, self.conv_size - 1, like.shape[0])
        return Mamba2State(tail, like.new_zeros(batch, self.num_heads, self.head_size, self.state_size))

    def step(self, x: Tensor, state: Mamba2State) -> tuple[Tensor, Mamba2State]:
        """One observation [B, I] to [B, H]."""
        z, coefficients, tail = self._coefficients(x.unsqueeze(1), state.tail, None)
        value, step, decay, B, C = (part.squeeze(1) for part in coefficients)
        read, memory = ssd_step(value * step.unsqueeze(-1), decay, B, C, state.memory)
        return self._finish(read, value, z.squeeze(1)), Mamba2State(tail, memory)

    def forward(
        self, x: Tensor, state: Mamba2State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Mamba2State]:
        """A sequence [B, T, I] to [B, T, H], in chunks."""
        check_sequence(x, lengths, self.input_size, "mamba2")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        x = zero_padding(x, lengths)
        z, (value, step, decay, B, C), tail = self._coefficients(x, state.tail, lengths)
        read, memory = ssd(value * step.unsqueeze(-1), decay, B, C, state.memory, lengths)
        return zero_padding(self._finish(read, value, z), lengths), Mamba2State(tail, memory)

    def _coefficients(
        self, x: Tensor, tail: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Gate z [B, T, inner]; x [B, T, heads, P], Δ and log a [B, T, heads], B and C [B, T, 1, N]; tail."""
        # Under autocast the product is in half precision; the memory stays in full precision.
        projected = linear(x, self.input.weight).to(tail.dtype)
        z, mixed, raw = torch.split(projected, [self.inner, tail.shape[2], self.num_heads], dim=-1)
        mixed, tail = causal_conv(mixed, self.conv_weight, self.conv_bias, tail, silu=True, lengths=lengths)
        value, B, C = torch.split(mixed, [self.inner, self.state_size, self.state_size], dim=-1)
        step, decay = self.decay(raw)
        value = torch.unflatten(value, -1, (self.num_heads, self.head_size))
        return z, (value, step, decay, B.unsqueeze(2), C.unsqueeze(2)), tail

    def _finish(self, read: Tensor, value: Tensor, z: Tensor) -> Tensor:
        y = torch.addcmul(read, self.skip.unsqueeze(-1), value).flatten(-2) * functional.silu(z)
        return linear(functional.rms_norm(y, (self.inner,), self.norm_weight, 1e-5), self.output.weight)
