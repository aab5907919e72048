"""A value that stays above zero (Feng et al. 2024, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor


def positive_value(value: Tensor) -> Tensor:
    """g(x) = x + ½ for x ≥ 0, σ(x) below: continuous, and above zero everywhere."""
    return torch.where(value >= 0, value + 0.5, value.sigmoid())
