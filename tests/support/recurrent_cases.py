"""Cases that the tests of the recurrent scans share: rows laid end to end, and both forms side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# rows, steps, units, different lengths, from the end to the beginning
SIZES = [
    (1, 1, 1, False, False),
    (5, 4, 7, True, True),
    (27, 3, 17, True, False),
    (33, 2, 130, False, True),
    (0, 3, 4, False, False),
    (2, 0, 4, False, False),
]
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}


class Case:
    """One shape; draws of the same case are the same."""

    def __init__(
        self, batch: int, time: int, size: int, uneven: bool, reverse: bool, dtype: torch.dtype
    ) -> None:
        self.generator = torch.Generator().manual_seed(100 * time + batch)
        self.batch, self.size, self.reverse, self.dtype = batch, size, reverse, dtype
        self.lengths: Tensor | None = None
        self.steps = batch * time
        if uneven:
            self.lengths = torch.randint(0, time + 1, (batch,), generator=self.generator)
            self.lengths[:2] = torch.tensor([time, 0])
            self.steps = int(self.lengths.sum())

    def leaf(self, *shape: int, scale: float = 1.0) -> Tensor:
        """Normal numbers with a gradient."""
        drawn = scale * torch.randn(*shape, generator=self.generator, dtype=torch.float64)
        return drawn.to(self.dtype).requires_grad_()

    def weight(self, rows: int, columns: int) -> Tensor:
        """A matrix of the size that weights have."""
        return self.leaf(rows, columns, scale=max(columns, 1) ** -0.5)

    def keep(self, width: int) -> Tensor:
        """A dropout mask."""
        return 2.0 * self._coins(self.batch, width)

    def stay(self, width: int) -> Tensor:
        """A mask of zoneout."""
        return self._coins(self.steps, width)

    def _coins(self, *shape: int) -> Tensor:
        return (torch.rand(*shape, generator=self.generator) > 0.5).to(self.dtype)


def compare(
    call: Callable[[Any], Sequence[Tensor]],
    form: Any,
    reference: Any,
    leaves: Sequence[Tensor | None],
    dtype: torch.dtype,
) -> None:
    """Values and gradients of call(form) and call(reference), against the size of what is compared."""
    given = [leaf for leaf in leaves if leaf is not None]
    got, want = call(form), call(reference)
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(part.shape, generator=generator).to(dtype) for part in want]
    found = []
    for outputs in (got, want):
        total = torch.stack(
            [(part * weight).sum() for part, weight in zip(outputs, weights, strict=True)]
        ).sum()
        found.append(torch.autograd.grad(total, given, allow_unused=True, materialize_grads=True))
    with torch.no_grad():  # another path: nothing is kept for a gradient
        plain = call(form)
    for a, b in zip((*got, *plain, *found[0]), (*want, *want, *found[1]), strict=True):
        bound = TOLERANCE[dtype] * max(1.0, float(b.detach().abs().max()) if b.numel() else 0.0)
        torch.testing.assert_close(a, b, atol=bound, rtol=0.0)
