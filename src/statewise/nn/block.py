"""A recurrence with its surroundings: norm before, dropout after, and a way around."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.start import check_rate
from statewise.recurrence import Recurrence, zero_padding
from statewise.state import State


class Block(Recurrence):
    """skip(x) + dropout(mixer(norm(x))): x [B, T, input_size] to [B, T, size]; its state is the mixer's.

    `norm` is a layer norm over the features (pre-norm: Xiong et al. 2020); leave it out where x are raw
    levels, since it forgets their size. `skip` is x itself, or a linear map of it when the sizes differ.
    """

    norm: nn.LayerNorm | None
    around: nn.Linear | None

    def __init__(
        self,
        mixer: Recurrence,
        input_size: int,
        size: int,
        *,
        dropout: float = 0.0,
        norm: bool = True,
        skip: bool = True,
    ) -> None:
        super().__init__()
        self.mixer = mixer
        self.dropout = check_rate(dropout, "dropout")
        self.skip = skip
        self.norm = nn.LayerNorm(input_size) if norm else None
        self.around = nn.Linear(input_size, size) if skip and input_size != size else None

    def initial_state(self, batch: int) -> State:
        """The mixer's."""
        return self.mixer.initial_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One observation [B, input_size] to [B, size]."""
        y, state = self.mixer.step(self._before(x), state)
        return self._after(x, y), state

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """A sequence [B, T, input_size] to [B, T, size] and the mixer's state."""
        x = zero_padding(x, lengths)
        y, state = self.mixer(self._before(x), state, lengths)
        return zero_padding(self._after(x, y), lengths), state

    def _before(self, x: Tensor) -> Tensor:
        if self.norm is None:
            return x
        # The functions rather than the modules: a step of one row is mostly the cost of calling.
        return functional.layer_norm(x, self.norm.normalized_shape, self.norm.weight, self.norm.bias)

    def _after(self, x: Tensor, y: Tensor) -> Tensor:
        if self.training and self.dropout > 0.0:
            y = functional.dropout(y, self.dropout)
        if not self.skip:
            return y
        if self.around is None:
            return y + x
        return y + functional.linear(x, self.around.weight, self.around.bias)
