"""The compiled matrix product is torch's, in values and gradients, at every shape and in every layout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from statewise.core.native import extension
from statewise.ops import linear as module
from statewise.ops.linear import linear, product

needs_native = pytest.mark.skipif(extension() is None, reason="the kernels are not built")


def close(got: Tensor, want: Tensor) -> None:
    """Within float32's rounding of a sum, in units of the largest value."""
    got, want = got.detach(), want.detach()
    bound = 2e-6 * max(float(want.abs().max()), 1.0) if want.numel() else 1.0
    torch.testing.assert_close(got.double(), want.double(), atol=bound, rtol=0)


@needs_native
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (12, 32, 7), (13, 33, 257), (5, 64, 600), (100, 3, 1), (7, 90, 0)]
)
@pytest.mark.parametrize("layout", ["nn", "nt", "tn", "tt"])
@pytest.mark.parametrize("add", [False, True])
def test_product_is_torchs(shape: tuple[int, int, int], layout: str, add: bool) -> None:
    torch.manual_seed(0)
    rows, columns, deep = shape
    a = torch.randn(rows, deep) if layout[0] == "n" else torch.randn(deep, rows).t()
    b = torch.randn(deep, columns) if layout[1] == "n" else torch.randn(columns, deep).t()
    bias, out = torch.randn(columns), torch.randn(rows, columns)
    exact = a.double() @ b.double()
    want = out.double() + exact if add else exact + bias
    close(product(a, b, out, None if add else bias, add), want)


@needs_native
def test_rows_do_not_depend_on_their_neighbours() -> None:
    torch.manual_seed(1)
    a, b = torch.randn(50, 300), torch.randn(300, 70)
    whole = product(a, b, torch.empty(50, 70))
    for rows in (1, 5, 13, 37):
        assert torch.equal(product(a[:rows], b, torch.empty(rows, 70)), whole[:rows])


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_torchs(bias: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL", 0)
    torch.manual_seed(2)
    x, weight = torch.randn(3, 41, 19, requires_grad=True), torch.randn(35, 19, requires_grad=True)
    given = [x, weight, *([torch.randn(35, requires_grad=True)] if bias else [])]
    weighing = torch.randn(3, 41, 35)
    got, want = linear(*given), functional.linear(*given)
    close(got, want)
    mine = torch.autograd.grad((got * weighing).sum(), given)
    theirs = torch.autograd.grad((want * weighing).sum(), given)
    for one, other in zip(mine, theirs, strict=True):
        close(one, other)


def test_a_second_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL", 0)
    torch.manual_seed(3)
    x, weight = torch.randn(4, 9, requires_grad=True), torch.randn(6, 9, requires_grad=True)

    def twice(run: object) -> Tensor:
        (first,) = torch.autograd.grad(run(x, weight).square().sum(), x, create_graph=True)  # type: ignore[operator]
        return torch.autograd.grad(first.square().sum(), weight)[0]

    close(twice(linear), twice(functional.linear))


def test_what_the_kernel_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision, autocast and vmap run in torch."""
    monkeypatch.setattr(module, "SMALL", 0)
    x, weight = torch.randn(8, 16), torch.randn(4, 16)
    assert linear(x.bfloat16(), weight.bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
    mapped = torch.func.vmap(lambda row: linear(row, weight))(x)
    torch.testing.assert_close(mapped, functional.linear(x, weight))
