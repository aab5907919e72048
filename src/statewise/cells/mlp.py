"""The position-wise feed-forward network of the transformer (Vaswani et al. 2017, equation 2): no memory.

    y = W_2 φ(W_1 x + b_1) + b_2,   φ = GELU (Hendrycks and Gimpel 2016)

A layer for patterns: "attention mlp" is the transformer's block, "mamba mlp attention mlp" a hybrid's.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import at_least
from statewise.ops.linear import linear
from statewise.recurrence import Recurrence, check_sequence, zero_padding


class MLPState(NamedTuple):
    """Nothing: each step stands alone."""

    nothing: Tensor  # [B, 0]


class MLP(Recurrence):
    """A feed-forward network at every step: x [B, T, I] to [B, T, H], `expand` · H units between.

    State size 0; cost per step expand·H·(I + H); good between layers that remember. Raises ShapeError,
    ConfigError.
    """

    def __init__(self, input_size: int, hidden_size: int, *, expand: int = 4) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        at_least(expand, 1, "expand")
        self.widen = nn.Linear(input_size, expand * hidden_size)
        self.narrow = nn.Linear(expand * hidden_size, hidden_size)

    def initial_state(self, batch: int) -> MLPState:
        """Nothing, of `batch` rows."""
        return MLPState(self.narrow.bias.new_zeros(batch, 0))

    def step(self, x: Tensor, state: MLPState) -> tuple[Tensor, MLPState]:
        """One observation [B, I] to [B, H]."""
        return self._update(x), state

    def forward(
        self, x: Tensor, state: MLPState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MLPState]:
        """A sequence [B, T, I] to [B, T, H], all steps at once."""
        check_sequence(x, lengths, self.input_size, "mlp")
        state = self.initial_state(x.shape[0]) if state is None else state
        outputs: Tensor = zero_padding(self._update(zero_padding(x, lengths)), lengths)
        return outputs, state

    def _update(self, x: Tensor) -> Tensor:
        wide = functional.gelu(linear(x, self.widen.weight, self.widen.bias))
        return linear(wide, self.narrow.weight, self.narrow.bias)
