"""A module whose parameters have left their first values, so that no weight is zero or one by design."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def shaken(module: M, size: float = 0.5) -> M:
    """`module` itself, every parameter moved by normal noise of standard deviation `size`."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(size * torch.randn_like(parameter))
    return module
