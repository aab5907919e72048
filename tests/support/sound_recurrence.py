"""A correct recurrence, of which every planted bug spoils one thing."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from statewise.recurrence import Recurrence, run_steps, zero_padding

X, H = 3, 4


class Memory(NamedTuple):
    hidden: Tensor  # [B, H]
    count: Tensor  # [B], real steps so far


class Sound(Recurrence):
    """A correct recurrence that counts its steps; every bug below spoils one thing of it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(H, X) / 2)
        self.loop = nn.Parameter(torch.randn(H, H) / 2)
        self.start = nn.Parameter(torch.randn(H))

    def initial_state(self, batch: int) -> Any:
        return Memory(self.start.repeat(batch, 1), torch.zeros(batch, dtype=torch.int64))

    def step(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.update(x @ self.weight.t(), state)

    def update(self, projected: Tensor, state: Any) -> tuple[Tensor, Any]:
        seasonal = 0.1 * (state.count % 3).unsqueeze(1)
        hidden = (projected + state.hidden @ self.loop.t() + seasonal).tanh()
        return hidden * 2, Memory(hidden, state.count + 1)

    def forward(self, x: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], H), state
        return self.sequence(zero_padding(x, lengths), state, lengths)

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None) -> tuple[Tensor, Any]:
        return run_steps(self.step, x, state, lengths)
