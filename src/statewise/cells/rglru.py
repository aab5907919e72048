"""The real-gated linear recurrent unit of De et al. 2024 (Griffin, section 2.4) and the block around it.

With x the input, E = round(expand · H) inner channels and ⊙ elementwise:

    g, u  = GELU(W_g x + b_g), W_u x + b_u         [E] each
    u     = conv(u)                                causal, every channel by itself, `conv_size` wide
    r, i  = σ(W_a u + b_a), σ(W_x u + b_x)         the gates of recurrence and input, in `num_heads` blocks
    a     = exp(-c r ⊙ softplus(-Λ)), c = 8        that is σ(Λ)^(c r)
    h'    = a ⊙ h + √(1 - a²) ⊙ (i ⊙ u)
    y     = W_o (g ⊙ h') + b_o                     [H]

σ(Λ)^c starts uniform in [0.9, 0.999]. block=False leaves g, the convolution and W_o out: u = W_u x + b_u, y =
h'. negative_eigenvalues=True takes 2 a - 1 in place of a, after Grazzi et al. 2024, so that a state can
change its sign. The released code treats a document's first step apart (no √); here a sequence starts like
any other step from zero.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import above_zero, at_least
from statewise.core.errors import ConfigError
from statewise.ops.causal_conv import causal_conv
from statewise.ops.linear import linear
from statewise.ops.linear_scan import linear_scan
from statewise.recurrence import Recurrence, check_sequence, last_real, zero_padding

C = 8.0  # the paper's c
_TINY = 1e-12  # below, the root's slope would overflow where a is 1 to the last bit


class RGLRUState(NamedTuple):
    """The memory of a Griffin block: the inputs the convolution still needs, and the hidden state."""

    inputs: Tensor  # [B, conv_size - 1, E], oldest first; [B, 0, E] with block=False
    hidden: Tensor  # [B, E]


class RGLRU(Recurrence):
    """One recurrent block of Griffin: x [B, T, I] to [B, T, H], by a scan.

    With block=False the plain layer, whose E is H (`expand` and `conv_size` are not used).
    Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        block: bool = True,
        expand: float = 4 / 3,
        conv_size: int = 4,
        num_heads: int = 1,
        negative_eigenvalues: bool = False,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.block = input_size, hidden_size, block
        self.negative_eigenvalues = negative_eigenvalues
        self.num_heads = at_least(num_heads, 1, "num_heads")
        wide = max(1, round(above_zero(expand, "expand") * hidden_size / num_heads)) * num_heads
        self.inner = inner = wide if block else hidden_size
        if inner % num_heads:
            raise ConfigError(f"num_heads: got {num_heads}, want a divisor of hidden_size, {hidden_size}.")
        self.past = at_least(conv_size, 1, "conv_size") - 1 if block else 0
        self.input = nn.Linear(input_size, 2 * inner if block else inner)
        head = inner // num_heads
        self.gate_weight = nn.Parameter(torch.randn(num_heads, head, 2 * head) * head**-0.5)
        self.gate_bias = nn.Parameter(torch.zeros(2 * inner))
        kept = torch.empty(inner).uniform_(0.9, 0.999) ** (1 / C)
        self.openness = nn.Parameter(torch.logit(kept.double()).float())  # Λ
        if block:
            self.conv_weight = nn.Parameter(torch.randn(inner, conv_size) * conv_size**-0.5)
            self.conv_bias = nn.Parameter(torch.zeros(inner))
            self.output = nn.Linear(inner, hidden_size)

    def initial_state(self, batch: int) -> RGLRUState:
        """Zeros for `batch` rows."""
        like = self.openness
        return RGLRUState(like.new_zeros(batch, self.past, self.inner), like.new_zeros(batch, self.inner))

    def step(self, x: Tensor, state: RGLRUState) -> tuple[Tensor, RGLRUState]:
        """One observation [B, I] to [B, H]."""
        u, g = self._branches(x)
        line = torch.cat((state.inputs, u.unsqueeze(1)), dim=1)
        if self.block:
            u = (line * self.conv_weight.t()).sum(dim=1) + self.conv_bias
        a, b = self._coefficients(u)
        hidden = a * state.hidden + b
        return self._output(hidden, g), RGLRUState(line[:, 1:], hidden)

    def forward(
        self, x: Tensor, state: RGLRUState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, RGLRUState]:
        """A sequence [B, T, I] to [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "rglru")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        u, g = self._branches(zero_padding(x, lengths))
        inputs = state.inputs
        if self.block:
            u, inputs = causal_conv(u, self.conv_weight, self.conv_bias, inputs, lengths=lengths)
        a, b = self._coefficients(u)
        states = linear_scan(a, b, state.hidden, lengths)
        after = RGLRUState(inputs, last_real(states, state.hidden, lengths))
        return zero_padding(self._output(states, g), lengths), after

    def _branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """u and, with the block, what gates the output (else u again, unused)."""
        projected = linear(x, self.input.weight, self.input.bias).to(self.openness.dtype)
        if not self.block:
            return projected, projected
        g, u = projected.chunk(2, dim=-1)
        return u, functional.gelu(g, approximate="tanh")

    def _coefficients(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """a and √(1 - a²) ⊙ (i ⊙ u) of the recurrence."""
        heads = u.view(*u.shape[:-1], self.num_heads, self.inner // self.num_heads)
        if u.dim() == 2:
            mixed = (heads.unsqueeze(-2) @ self.gate_weight).squeeze(-2)
        else:  # one product per head for all steps, instead of one per step
            mixed = torch.einsum("bthk,hkj->bthj", heads, self.gate_weight)
        gates = (mixed + self.gate_bias.view(self.num_heads, -1)).to(u.dtype).sigmoid()
        r, i = (part.flatten(-2) for part in gates.chunk(2, dim=-1))
        log_a = -C * r * functional.softplus(-self.openness)
        a = log_a.exp()
        if self.negative_eigenvalues:
            signed = 2 * a - 1
            rest = 4 * a * -torch.expm1(log_a)  # 1 - (2 a - 1)²
            return signed, rest.clamp(min=_TINY).sqrt() * (i * u)
        return a, (-torch.expm1(2 * log_a)).clamp(min=_TINY).sqrt() * (i * u)

    def _output(self, hidden: Tensor, g: Tensor) -> Tensor:
        if not self.block:
            return hidden
        return linear(g * hidden, self.output.weight, self.output.bias).to(hidden.dtype)
