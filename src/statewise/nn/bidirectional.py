"""Two recurrences over one sequence, one from each end (Schuster and Paliwal 1997)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from statewise.recurrence import Encoder, Recurrence, real_steps, zero_padding


class Bidirectional(Encoder):
    """Forward and backward outputs side by side: x [B, T, I] to [B, T, 2 H].

    `make` gives one recurrence per direction, each with its own weights. The backward one starts at each
    row's last real step, so padding is never read. Reads the future: an Encoder, which cannot stream.
    """

    def __init__(self, make: Callable[[], Recurrence]) -> None:
        super().__init__()
        self.ahead, self.back = make(), make()

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """A sequence [B, T, I] to [B, T, 2 H], zero after each row's length."""
        x = zero_padding(x, lengths)
        ahead, _ = self.ahead(x, None, lengths)
        back, _ = self.back(_reverse(x, lengths), None, lengths)
        return torch.cat((ahead, _reverse(back, lengths)), dim=-1)


def _reverse(x: Tensor, lengths: Tensor | None) -> Tensor:
    """`x` [B, T, F] with each row's real steps in reverse order, and the padding where it was."""
    if lengths is None:
        return x.flip(1)
    time = torch.arange(x.shape[1], device=x.device)
    index = torch.where(real_steps(lengths, x.shape[1]), lengths.unsqueeze(1) - 1 - time, time)
    return x.gather(1, index.unsqueeze(-1).expand_as(x))
