"""How fast each head forgets: an input-dependent step size times a learned rate (Mamba-2, gated DeltaNet)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

_STEPS = (1e-3, 1e-1)  # first step sizes, log-uniform (Gu and Dao 2023, section 3.6)


class HeadDecay(nn.Module):
    """The step size and the logarithm of what is kept, per head (Dao and Gu 2024, section 7.1).

    Δ = softplus(raw + bias),   decay = -exp(log_rate) Δ

    The rates start uniform in `rates`, the steps log-uniform in 0.001 … 0.1.
    """

    def __init__(self, num_heads: int, rates: tuple[float, float]) -> None:
        super().__init__()
        low, high = (math.log(step) for step in _STEPS)
        first = (low + (high - low) * torch.rand(num_heads)).exp()
        self.bias = nn.Parameter(first + (-torch.expm1(-first)).log())  # softplus of it is `first`
        self.log_rate = nn.Parameter(torch.empty(num_heads).uniform_(*rates).log())

    def forward(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Step sizes and decays [..., heads] of the projections `raw` [..., heads]."""
        step = functional.softplus(raw + self.bias)
        return step, -self.log_rate.exp() * step
