"""The linear scan as a kernel against its definition."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import pytest
import torch
from kernel_comparison import assert_equal, draw, spoiled
from torch import Tensor

from statewise.ops.linear_scan import linear_scan_reference

Kernels = dict[str, ModuleType]


def parts(
    batch: int, time: int, *rest: int, dtype: torch.dtype, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    shapes = ((batch, time, *rest), (batch, time, *rest), (batch, *rest))
    a, b, initial = (draw(*s, dtype=dtype, device=device, seed=i) for i, s in enumerate(shapes))
    return a.sigmoid(), b, initial


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    ("shape", "span", "lengths"),
    [
        ((2, 9, 5), 4, None),  # spans with a shorter last one
        ((3, 7, 2, 3), 3, [0, 7, 4]),  # an empty row, a full one, one that ends inside a span
        ((1, 3, 130), None, None),  # two blocks of channels, one span
        ((2, 1), None, [1, 0]),  # no channels axis
        ((0, 4, 3), None, None),
        ((2, 0, 3), None, [0, 0]),
        ((2, 4, 0), None, None),
    ],
)
def test_equals_the_definition(
    kernels: Kernels,
    device: str,
    shape: tuple[int, ...],
    span: int | None,
    lengths: list[int] | None,
    dtype: torch.dtype,
) -> None:
    real = None if lengths is None else torch.tensor(lengths, device=device)
    a, b, initial = parts(*shape, dtype=dtype, device=device)
    leaves = [*spoiled((a, b), real), initial]
    fast = partial(kernels["linear_scan"].linear_scan, lengths=real, span=span)
    assert_equal(fast, partial(linear_scan_reference, lengths=real), leaves)


def test_strided_arguments(kernels: Kernels, device: str) -> None:
    a, b, initial = parts(2, 6, 3, dtype=torch.float64, device=device)
    leaves = [a.transpose(1, 2).contiguous().transpose(1, 2), b.flip(1), initial.t().contiguous().t()]
    assert_equal(kernels["linear_scan"].linear_scan, linear_scan_reference, leaves)


@pytest.mark.parametrize("ones", [(1, 6), (2, 1), (1, 1)])
def test_a_factor_that_stays_the_same(kernels: Kernels, device: str, ones: tuple[int, int]) -> None:
    a, b, initial = parts(2, 6, 3, dtype=torch.float64, device=device)
    leaves = [a[: ones[0], : ones[1]], b, initial]
    assert_equal(kernels["linear_scan"].linear_scan, linear_scan_reference, leaves)


def test_gradients_of_gradients(kernels: Kernels, device: str) -> None:
    lengths = torch.tensor([3, 2], device=device)
    a, b, initial = parts(2, 3, 2, dtype=torch.float64, device=device)

    def gradients(scan: object, *leaves: Tensor) -> tuple[Tensor, ...]:
        assert callable(scan)
        return torch.autograd.grad(scan(*leaves, lengths).square().sum(), leaves, create_graph=True)

    fast = partial(gradients, kernels["linear_scan"].linear_scan)
    assert_equal(fast, partial(gradients, linear_scan_reference), [a, b, initial])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the interpreter's, which is NumPy
def test_nothing_stays_nothing_where_a_product_overflows(kernels: Kernels, device: str) -> None:
    a, b = torch.full((1, 9, 1), 1e30, device=device), torch.zeros(1, 9, 1, device=device)
    h = kernels["linear_scan"].linear_scan(a, b, torch.zeros(1, 1, device=device), span=3)
    assert h.tolist() == b.tolist()
