"""Two forms of one operation on the same leaves: values and all gradients side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from statewise import state as states


def results(run: Callable[..., Any], leaves: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """What `run(*leaves)` gives, flat, and the gradients of one fixed weighing of it."""
    fresh = [leaf.detach().clone().requires_grad_() for leaf in leaves]
    values = states.tensors(run(*fresh))
    generator = torch.Generator().manual_seed(1)
    weighed = [
        (value * torch.randn(value.shape, generator=generator, dtype=value.dtype)).sum() for value in values
    ]
    gradients = torch.autograd.grad(torch.stack(weighed).sum(), fresh, allow_unused=True)
    known = [
        torch.zeros_like(leaf) if grad is None else grad for leaf, grad in zip(fresh, gradients, strict=True)
    ]
    return [value.detach() for value in values], known


def assert_same(
    got: Callable[..., Any], want: Callable[..., Any], leaves: Sequence[Tensor], tolerance: float = 1e-9
) -> None:
    """Values and gradients agree within `tolerance` times the largest entry of each tensor, at least 1."""
    for ours, theirs in zip(results(got, leaves), results(want, leaves), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            scale = max(1.0, float(b.abs().max())) if b.numel() else 1.0
            torch.testing.assert_close(a, b, atol=tolerance * scale, rtol=0.0)
