"""The mLSTM of Beck et al. 2024, "xLSTM", equations 19 to 27, as a plain layer (as in "xLSTM 7B", 2025).

With x the input, per head C [V, K] and n [K] the memory, ⊙ elementwise:

    q, k, v = W x,   k = k / √K
    i = exp(cap(w_i x + b_i)),   f = σ(cap(w_f x + b_f)), or exp(…) with forget="exp"
    C' = f C + i v kᵀ,   n' = f n + i k,   h = C' q / max(|n' · q|, 1)
    y = O (σ(W_o x) ⊙ norm(h))

cap(a) = 15 tanh(a / 15), norm a layer norm over each head. The exponentials are kept in range by a running
maximum (`statewise.ops.mlstm_scan`). The block of 2024 has a convolution and a second gate around this.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import above_zero, at_least, one_of
from statewise.ops.linear import linear
from statewise.ops.mlstm_scan import MatrixMemory, mlstm_scan, mlstm_step
from statewise.recurrence import Recurrence, check_sequence, zero_padding

Forget = Literal["sigmoid", "exp"]
_CAP = 15.0


class MLSTM(Recurrence):
    """One mLSTM layer: x [B, T, I] to [B, T, H]; the state is a `MatrixMemory`.

    `num_heads` heads with V = H / `num_heads` (rounded up) and K = V · `key_fraction`. As in the authors'
    code the gates start without weights, the forget gates between σ(3) and σ(6).
    Raises ShapeError, ConfigError.

    State per layer: H K + heads (K + 1) floats. Cost per step: O(H² + H K).
    Form: chunks. Good for: recall of many pairs in a fixed size; a step that outweighs all before it.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_heads: int = 4,
        key_fraction: float = 0.5,
        forget: Forget = "sigmoid",
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_heads = at_least(num_heads, 1, "num_heads")
        self.forget = one_of(forget, get_args(Forget), "forget")
        self.head_size = -(-hidden_size // num_heads)
        self.key_size = max(1, round(above_zero(key_fraction, "key_fraction") * self.head_size))
        self.inner, self.keys = num_heads * self.head_size, num_heads * self.key_size
        self.input = nn.Linear(input_size, 2 * self.inner + 2 * self.keys, bias=False)
        self.gates = nn.Linear(input_size, 2 * num_heads)
        with torch.no_grad():
            self.gates.weight.zero_()
            self.gates.bias[:num_heads].normal_(std=0.1)
            self.gates.bias[num_heads:] = torch.linspace(3.0, 6.0, num_heads)
        self.norm_weight = nn.Parameter(torch.ones(num_heads, self.head_size))
        self.output = nn.Linear(self.inner, hidden_size, bias=False)

    def initial_state(self, batch: int) -> MatrixMemory:
        """Zeros."""
        like, heads = self.norm_weight, self.num_heads
        matrix = like.new_zeros(batch, heads, self.head_size, self.key_size)
        return MatrixMemory(matrix, like.new_zeros(batch, heads, self.key_size), like.new_zeros(batch, heads))

    def step(self, x: Tensor, state: MatrixMemory) -> tuple[Tensor, MatrixMemory]:
        """One observation [B, I] to [B, H]."""
        gate, (q, k, v, i, f) = self._coefficients(x)
        read, state = mlstm_step(q, k, v, i, f, state)
        return self._finish(read, gate), state

    def forward(
        self, x: Tensor, state: MatrixMemory | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MatrixMemory]:
        """A sequence [B, T, I] to [B, T, H], in chunks."""
        check_sequence(x, lengths, self.input_size, "mlstm")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        gate, (q, k, v, i, f) = self._coefficients(zero_padding(x, lengths))
        read, state = mlstm_scan(q, k, v, i, f, state, lengths)
        return zero_padding(self._finish(read, gate), lengths), state

    def _coefficients(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Gate [..., inner]; q and k [..., heads, K], v [..., heads, V], log i and log f [..., heads]."""
        # Under autocast the products are in half precision; the memory stays in full precision.
        dtype = self.norm_weight.dtype
        projected = linear(x, self.input.weight).to(dtype)
        gate, v, q, k = torch.split(projected, [self.inner, self.inner, self.keys, self.keys], dim=-1)
        q, k, v = (torch.unflatten(part, -1, (self.num_heads, -1)) for part in (q, k, v))
        gates = functional.linear(x, self.gates.weight, self.gates.bias).to(dtype)
        i, f = (_CAP * (gates / _CAP).tanh()).chunk(2, dim=-1)
        f = functional.logsigmoid(f) if self.forget == "sigmoid" else f
        return gate, (q, k * self.key_size**-0.5, v, i, f)

    def _finish(self, read: Tensor, gate: Tensor) -> Tensor:
        normed = functional.layer_norm(read, (self.head_size,), eps=1e-6) * self.norm_weight
        return linear(normed.flatten(-2) * gate.sigmoid(), self.output.weight)
