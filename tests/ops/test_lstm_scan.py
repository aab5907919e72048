"""The LSTM's written-out gradient against automatic differentiation of its equations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from statewise.ops.lstm_scan import lstm_scan, lstm_scan_reference


def draw(time: int, batch: int, size: int, masked: bool) -> tuple[list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(time * 100 + batch)
    shapes = ((time, batch, 4 * size), (4 * size, size), (batch, size), (batch, size))
    leaves = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    keep = 2.0 * (torch.rand(batch, size, generator=generator, dtype=torch.float64) > 0.5)
    return [leaf.requires_grad_() for leaf in leaves], keep if masked else keep[:, :0]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("time", "batch", "size"), [(1, 1, 1), (1, 3, 4), (9, 2, 5), (40, 1, 3)])
def test_equals_the_equations(time: int, batch: int, size: int, masked: bool) -> None:
    leaves, keep = draw(time, batch, size, masked)
    got, want = lstm_scan(*leaves, keep), lstm_scan_reference(*leaves, keep)
    torch.testing.assert_close(got, want, atol=1e-13, rtol=0.0)
    weights = torch.randn(2, time, batch, size, dtype=torch.float64)
    gradients = [torch.autograd.grad((torch.stack(y) * weights).sum(), leaves) for y in (got, want)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("part", [0, 1])
def test_gradient_of_one_output_alone(part: int) -> None:
    leaves, keep = draw(5, 2, 3, masked=True)
    got, want = (run(*leaves, keep)[part].sum() for run in (lstm_scan, lstm_scan_reference))
    gradients = [torch.autograd.grad(value, leaves) for value in (got, want)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-12)


def test_gradient_by_differences() -> None:
    leaves, keep = draw(4, 2, 2, masked=True)
    assert torch.autograd.gradcheck(lambda *parts: lstm_scan(*parts, keep), leaves)


def test_changes_none_of_its_arguments() -> None:
    leaves, keep = draw(6, 2, 3, masked=True)
    kept = [leaf.detach().clone() for leaf in (*leaves, keep)]
    torch.stack(lstm_scan(*leaves, keep)).sum().backward()
    assert all(torch.equal(leaf, copy) for leaf, copy in zip((*leaves, keep), kept, strict=True))
