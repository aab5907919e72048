"""Holding an operation to its definition: values and gradients, the padding filled with NaN."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Operation = Callable[..., Tensor | tuple[Tensor, ...]]
# Of the largest number. The definition sums in another order, in one sum per step.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}


def draw(*shape: int, dtype: torch.dtype, device: str, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(device, dtype)


def spoiled(parts: Sequence[Tensor], lengths: Tensor | None) -> list[Tensor]:
    """Copies of `parts` [B, T, ...] with NaN after every row's length."""
    copies = [part.clone() for part in parts]
    for row, length in enumerate([] if lengths is None else lengths.tolist()):
        for part in copies:
            part[row, length:] = float("nan")
    return copies


def assert_equal(fast: Operation, plain: Operation, leaves: Sequence[Tensor]) -> None:
    """Values of both, and gradients of one random weighing by every leaf, within TOLERANCE."""
    leaves = [leaf.detach().requires_grad_() for leaf in leaves]
    got, want = _outcome(fast, leaves), _outcome(plain, leaves)
    assert len(got) == len(want)
    for number, (a, b) in enumerate(zip(got, want, strict=True)):
        assert a.shape == b.shape, f"number {number}"
        scale = max(1.0, float(b.detach().abs().max())) if b.numel() else 1.0
        torch.testing.assert_close(a, b, atol=TOLERANCE[b.dtype] * scale, rtol=0, msg=f"number {number}")


def _outcome(operation: Operation, leaves: Sequence[Tensor]) -> list[Tensor]:
    made = operation(*leaves)
    parts = [made] if isinstance(made, Tensor) else list(made)
    weighed = [
        (part * draw(*part.shape, dtype=part.dtype, device=str(part.device), seed=number)).sum()
        for number, part in enumerate(parts)
    ]
    gradients = torch.autograd.grad(
        torch.stack(weighed).sum(), leaves, allow_unused=True, materialize_grads=True
    )
    return [*parts, *gradients]
