"""Gated DeltaNet: Yang, Kautz and Hatamizadeh 2024, "Gated delta networks", section 3.4 and equation 10.

With u the input, S [V, K] the state of each head, ⊙ elementwise:

    q, k, v = silu(conv(W u)),   q = q / (‖q‖ √K),   k = k / ‖k‖
    β = σ(W_β u)                 2 σ(…) with negative_eigenvalues (Grazzi et al. 2024, section 4)
    a = exp(-exp(A) softplus(W_a u + b))
    S' = a S (I - β k kᵀ) + β v kᵀ
    y = O (rmsnorm(S' q) ⊙ silu(W_g u))
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import at_least
from statewise.cells.decay import HeadDecay
from statewise.ops.causal_conv import causal_conv
from statewise.ops.delta_rule import delta_rule, delta_rule_step
from statewise.ops.linear import linear
from statewise.recurrence import Recurrence, check_sequence, zero_padding


class DeltaNetState(NamedTuple):
    """The memory of a gated DeltaNet: its convolution's last inputs and its heads."""

    tail: Tensor  # [B, conv_size - 1, heads (2 K + V)], oldest first
    memory: Tensor  # S [B, heads, V, K]


class DeltaNet(Recurrence):
    """One layer of gated DeltaNet: x [B, T, I] to [B, T, H].

    `num_heads` heads with K = V = H / `num_heads`, rounded up. With `negative_eigenvalues` a write can turn
    the sign of what stood under its key, which parity and other state tracking need. Raises ShapeError,
    ConfigError.

    State per layer: H² / heads + 3 (conv_size - 1) H floats. Cost per step: O(H² + H² / heads).
    Form: chunks. Good for: associations that are overwritten, state tracking, recall in a fixed size.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_heads: int = 4,
        conv_size: int = 4,
        negative_eigenvalues: bool = False,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_heads = at_least(num_heads, 1, "num_heads")
        self.conv_size = at_least(conv_size, 1, "conv_size")
        self.negative_eigenvalues = negative_eigenvalues
        self.head_size = -(-hidden_size // num_heads)
        self.inner = num_heads * self.head_size
        self.input = nn.Linear(input_size, 4 * self.inner + 2 * num_heads, bias=False)
        reach = conv_size**-0.5
        self.conv_weight = nn.Parameter(torch.empty(3 * self.inner, conv_size).uniform_(-reach, reach))
        self.decay = HeadDecay(num_heads, (1.0, 16.0))
        self.norm_weight = nn.Parameter(torch.ones(self.head_size))
        self.output = nn.Linear(self.inner, hidden_size, bias=False)

    def initial_state(self, batch: int) -> DeltaNetState:
        """Zeros."""
        like = self.conv_weight
        tail = like.new_zeros(batch, self.conv_size - 1, like.shape[0])
        return DeltaNetState(tail, like.new_zeros(batch, self.num_heads, self.head_size, self.head_size))

    def step(self, x: Tensor, state: DeltaNetState) -> tuple[Tensor, DeltaNetState]:
        """One observation [B, I] to [B, H]."""
        gate, coefficients, tail = self._coefficients(x.unsqueeze(1), state.tail, None)
        q, k, v, beta, decay = (part.squeeze(1) for part in coefficients)
        read, memory = delta_rule_step(q, k, v, beta, decay, state.memory)
        return self._finish(read, gate.squeeze(1)), DeltaNetState(tail, memory)

    def forward(
        self, x: Tensor, state: DeltaNetState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, DeltaNetState]:
        """A sequence [B, T, I] to [B, T, H], in chunks."""
        check_sequence(x, lengths, self.input_size, "deltanet")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        x = zero_padding(x, lengths)
        gate, (q, k, v, beta, decay), tail = self._coefficients(x, state.tail, lengths)
        read, memory = delta_rule(q, k, v, beta, decay, state.memory, lengths)
        return zero_padding(self._finish(read, gate), lengths), DeltaNetState(tail, memory)

    def _coefficients(
        self, x: Tensor, tail: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """Gate [B, T, inner]; q, k, v [B, T, heads, K], β and log a [B, T, heads]; the tail."""
        # Under autocast the product is in half precision; the memory stays in full precision.
        projected = linear(x, self.input.weight).to(tail.dtype)
        sizes = [self.inner, 3 * self.inner, self.num_heads, self.num_heads]
        gate, mixed, write, raw = torch.split(projected, sizes, dim=-1)
        mixed, tail = causal_conv(mixed, self.conv_weight, None, tail, silu=True, lengths=lengths)
        q, k, v = torch.unflatten(mixed, -1, (3, self.num_heads, self.head_size)).unbind(-3)
        beta = write.sigmoid() * (2.0 if self.negative_eigenvalues else 1.0)
        return gate, (_unit(q) * self.head_size**-0.5, _unit(k), v, beta, self.decay(raw)[1]), tail

    def _finish(self, read: Tensor, gate: Tensor) -> Tensor:
        normed = functional.rms_norm(read, (self.head_size,), self.norm_weight, 1e-5)
        return linear(normed.flatten(-2) * functional.silu(gate), self.output.weight)


def _unit(x: Tensor) -> Tensor:
    """x / ‖x‖ along the last axis; 0 stays 0, with a finite gradient."""
    return x * (x.square().sum(-1, keepdim=True) + 1e-6).rsqrt()
