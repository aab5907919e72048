"""The GRU's written-out gradient against automatic differentiation of its equations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from statewise.ops.gru_scan import gru_scan, gru_scan_reference


def draw(time: int, batch: int, size: int, masked: bool) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(time * 100 + batch)
    shapes = ((time, batch, 3 * size), (3 * size, size), (3 * size,), (batch, size))
    leaves = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    keep = 2.0 * (torch.rand(batch, size, generator=generator, dtype=torch.float64) > 0.5)
    return [leaf.requires_grad_() for leaf in leaves], keep if masked else keep[:, :0]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("time", "batch", "size"), [(1, 1, 1), (1, 3, 4), (9, 2, 5), (40, 1, 3)])
def test_equals_the_equations(time: int, batch: int, size: int, masked: bool) -> None:
    leaves, keep = draw(time, batch, size, masked)
    got, want = gru_scan(*leaves, keep), gru_scan_reference(*leaves, keep)
    torch.testing.assert_close(got, want, atol=1e-13, rtol=0.0)
    weights = torch.randn_like(want)
    gradients = [torch.autograd.grad((y * weights).sum(), leaves) for y in (got, want)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-12)


def test_gradient_by_differences() -> None:
    leaves, keep = draw(5, 2, 3, masked=True)
    assert torch.autograd.gradcheck(lambda *parts: gru_scan(*parts, keep), leaves)


def test_only_what_is_asked_for() -> None:
    """A part without a gradient (a fixed start, frozen weights) leaves the others' as they are."""
    leaves, keep = draw(6, 2, 3, masked=False)
    want = torch.autograd.grad(gru_scan(*leaves, keep).sum(), leaves[1])
    frozen = [leaf if i == 1 else leaf.detach() for i, leaf in enumerate(leaves)]
    torch.testing.assert_close(torch.autograd.grad(gru_scan(*frozen, keep).sum(), leaves[1]), want)


def test_changes_none_of_its_arguments() -> None:
    leaves, keep = draw(6, 2, 3, masked=True)
    kept = [leaf.detach().clone() for leaf in (*leaves, keep)]
    gru_scan(*leaves, keep).sum().backward()
    assert all(torch.equal(leaf, copy) for leaf, copy in zip((*leaves, keep), kept, strict=True))
