"""What a memory starts from, and the dropout mask it carries."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from statewise.core.errors import ConfigError, suggestion

Initial = Literal["zero", "learned", "random"]

NOISE = 0.1  # standard deviation of a random start


class Start(nn.Module):
    """The first value [B, H] of one part of a state: zero, learned, or random while training.

    "random" draws from N(0, 0.1²) for every sequence in training mode and is zero in evaluation mode: the
    network learns to forget where it began (Zimmermann, Tietz and Grothmann 2012, section 4).
    Raises ConfigError for another kind.
    """

    value: nn.Parameter | None

    def __init__(self, initial: Initial, size: int) -> None:
        super().__init__()
        if initial not in get_args(Initial):
            raise ConfigError(f"initial: no such start '{initial}'.{suggestion(initial, get_args(Initial))}")
        self.random = initial == "random"
        self.size = size
        self.value = nn.Parameter(torch.zeros(size)) if initial == "learned" else None

    def forward(self, batch: int, like: Tensor) -> Tensor:
        """The start of `batch` rows, on the device and of the dtype of `like`."""
        if self.value is not None:
            return self.value.repeat(batch, 1)
        if self.random and self.training:
            return NOISE * torch.randn(batch, self.size, device=like.device, dtype=like.dtype)
        return like.new_zeros(batch, self.size)


def check_rate(rate: float, where: str) -> float:
    """`rate` itself. Raises ConfigError outside 0 ≤ rate < 1."""
    if not 0.0 <= rate < 1.0:
        raise ConfigError(f"{where}: got {rate}, want 0 ≤ rate < 1.")
    return float(rate)


def keep_mask(batch: int, size: int, rate: float, training: bool, like: Tensor) -> Tensor:
    """A recurrent-dropout mask [B, H], one draw for the whole sequence; [B, 0] when `rate` is 0.

    Entries are 0 or 1 / (1 - rate) in training, 1 in evaluation. Carried in the state, so that steps and
    chunks see the mask that the whole sequence sees (Gal and Ghahramani 2016, section 4).
    """
    if rate == 0.0:
        return like.new_zeros(batch, 0)
    mask = like.new_ones(batch, size)
    return mask.bernoulli_(1.0 - rate).div_(1.0 - rate) if training else mask
