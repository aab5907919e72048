"""The linear scan against its definition, compiled and not: values, gradients, edges."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from forms import FORMS, in_form
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from statewise.core.errors import ShapeError
from statewise.ops.linear_scan import linear_scan, linear_scan_reference

SIZES = [
    (1, 1),
    (5, 1),
    (3, 17),
    (2, 64),
    (1, 300),
]  # B, D: rows and channels for fewer and more than a register


@pytest.fixture(autouse=True, params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from in_form(request.param)


def draw(batch: int, time: int, *rest: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((batch, time, *rest), (batch, time, *rest), (batch, *rest))
    a, b, h = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes)
    return a.sigmoid(), b, h


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.integers(0, 3), time=st.integers(0, 40), size=st.integers(0, 3), seed=st.integers(0, 99))
def test_equals_the_definition(batch: int, time: int, size: int, seed: int) -> None:
    a, b, h = draw(batch, time, size, seed=seed)
    torch.testing.assert_close(linear_scan(a, b, h), linear_scan_reference(a, b, h), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("rest", [(), (2,), (2, 3)])
def test_trailing_axes(rest: tuple[int, ...]) -> None:
    a, b, h = draw(2, 9, *rest)
    torch.testing.assert_close(linear_scan(a, b, h), linear_scan_reference(a, b, h), atol=1e-12, rtol=1e-12)


def test_by_hand() -> None:
    a, b = torch.tensor([[0.5, 0.0, 2.0]]), torch.tensor([[1.0, 3.0, -1.0]])
    assert linear_scan(a, b, torch.tensor([4.0])).tolist() == [[3.0, 3.0, 5.0]]


@pytest.mark.parametrize("time", [1, 2, 7, 16])
def test_gradients_equal_the_definition(time: int) -> None:
    leaves = [leaf.requires_grad_() for leaf in draw(2, time, 3)]
    weights = torch.randn(2, time, 3, dtype=torch.float64)
    fast = torch.autograd.grad((linear_scan(*leaves) * weights).sum(), leaves)
    plain = torch.autograd.grad((linear_scan_reference(*leaves) * weights).sum(), leaves)
    torch.testing.assert_close(fast, plain, atol=1e-12, rtol=1e-12)


def test_gradients_by_differences_first_and_second() -> None:
    leaves = tuple(leaf.requires_grad_() for leaf in draw(1, 5, 2))
    assert torch.autograd.gradcheck(linear_scan, leaves)
    assert torch.autograd.gradgradcheck(linear_scan, leaves)


def in_complex(batch: int, time: int, *rest: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(time)
    shapes = ((batch, time, *rest), (batch, time, *rest), (batch, *rest))
    a, b, h = (torch.randn(*shape, generator=generator, dtype=torch.complex128) for shape in shapes)
    return a / (1 + a.abs()), b, h


def gradients(scan: object, leaves: tuple[Tensor, ...], lengths: Tensor | None = None) -> list[Tensor]:
    """h, and what weights on it give back to every leaf."""
    assert callable(scan)
    leaves = tuple(leaf.detach().requires_grad_() for leaf in leaves)
    h = scan(*leaves, lengths)
    weights = torch.linspace(-1.0, 1.0, h.numel()).view_as(h).to(h.dtype)
    return [h, *torch.autograd.grad((h * weights).sum().abs(), leaves)]


@pytest.mark.parametrize("time", [1, 2, 63, 64, 65])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_size(sizes: tuple[int, int], time: int) -> None:
    for leaves in (draw(sizes[0], time, sizes[1]), in_complex(sizes[0], time, sizes[1])):
        found, wanted = gradients(linear_scan, leaves), gradients(linear_scan_reference, leaves)
        torch.testing.assert_close(found, wanted, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("steps", [1, 9])
def test_coefficients_constant_over_rows_or_time(rows: int, steps: int) -> None:
    for a, b, h in (draw(3, 9, 18), in_complex(3, 9, 18)):
        leaves = (a[:rows, :steps], b, h)
        found, wanted = gradients(linear_scan, leaves), gradients(linear_scan_reference, leaves)
        torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)


def test_lengths_hide_what_follows() -> None:
    lengths = torch.tensor([9, 4, 1, 0])
    for a, b, h in (draw(4, 9, 5), in_complex(4, 9, 5)):
        wanted = gradients(linear_scan_reference, (a, b, h), lengths)
        for row, length in enumerate(lengths.tolist()):
            a[row, length:] = b[row, length:] = torch.nan
        torch.testing.assert_close(gradients(linear_scan, (a, b, h), lengths), wanted, atol=1e-12, rtol=1e-12)
        constant = gradients(linear_scan, (a[:, :1].nan_to_num(), b, h), lengths)
        assert all(part.isfinite().all() for part in constant)


def test_single_precision_over_many_steps() -> None:
    a, b, h = (part.float() for part in draw(1, 65536, 2))
    exact = linear_scan(a.double(), b.double(), h.double())
    assert (linear_scan(a, b, h) - exact).abs().max() <= 1e-6 * exact.abs().max()


def test_gradients_by_differences_in_complex() -> None:
    leaves = tuple(leaf.requires_grad_() for leaf in in_complex(2, 4, 3))
    assert torch.autograd.gradcheck(linear_scan, leaves)
    assert torch.autograd.gradgradcheck(linear_scan, leaves)


def test_changes_none_of_its_arguments() -> None:
    leaves = draw(2, 9, 3)
    kept = [leaf.clone() for leaf in leaves]
    linear_scan(*leaves)
    assert all(torch.equal(leaf, copy) for leaf, copy in zip(leaves, kept, strict=True))


def test_a_forgotten_past_stays_forgotten() -> None:
    """a = 0 cuts the past off exactly, even after values near the largest float."""
    a, b, h = torch.zeros(1, 6), torch.full((1, 6), 1.0), torch.tensor([1e38])
    assert torch.equal(linear_scan(a, b, h), b)


@pytest.mark.parametrize("scan", [linear_scan, linear_scan_reference])
def test_shapes_are_checked(scan: object) -> None:
    assert callable(scan)
    with pytest.raises(ShapeError) as caught:
        scan(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), torch.zeros(2, 3))
    want = "linear_scan: got a [2, 3, 4], b [2, 3, 4], initial [2, 3], want a and b [B, T, ...] and initial "
    assert str(caught.value) == want + "[B, ...]."
