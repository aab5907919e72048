"""The selective scan against its definition, compiled and not: values, gradients, lengths, sizes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from forms import FORMS, in_form
from torch import Tensor

from statewise.core.errors import ShapeError
from statewise.ops.selective_scan import selective_scan, selective_scan_reference

# B, T, D, N: chunks of 32 steps met and missed, channels and states that fill no register
SIZES = [
    (1, 1, 1, 1),
    (2, 2, 5, 3),
    (1, 33, 17, 16),
    (2, 63, 40, 17),
    (3, 64, 16, 5),
    (1, 65, 33, 1),
    (2, 70, 100, 4),
]


@pytest.fixture(autouse=True, params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from in_form(request.param)


def draw(sizes: tuple[int, int, int, int], dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    batch, time, width, states = sizes
    generator = torch.Generator().manual_seed(sum(sizes))
    shapes = {"u": (batch, time, width), "delta": (batch, time, width), "A": (width, states)}
    shapes |= {"B": (batch, time, states), "C": (batch, time, states), "D": (width,)}
    shapes |= {"initial": (batch, width, states), "gate": (batch, time, width), "delta_bias": (width,)}
    drawn = {name: torch.randn(*shape, generator=generator, dtype=dtype) for name, shape in shapes.items()}
    drawn["A"] = -drawn["A"].exp()
    return {name: leaf.requires_grad_() for name, leaf in drawn.items()}


def results(scan: object, leaves: dict[str, Tensor], **options: object) -> list[Tensor]:
    """y, the last state, and the gradients of all leaves under fixed weights."""
    assert callable(scan)
    y, state = scan(**leaves, **options)
    weights = [torch.linspace(-1.0, 1.0, part.numel(), dtype=part.dtype).view_as(part) for part in (y, state)]
    loss = (y * weights[0]).sum() + (state * weights[1]).sum()
    return [y, state, *torch.autograd.grad(loss, list(leaves.values()))]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_equals_the_definition(sizes: tuple[int, int, int, int]) -> None:
    leaves = draw(sizes)
    found = results(selective_scan, leaves)
    wanted = results(selective_scan_reference, leaves)
    torch.testing.assert_close(found, wanted, atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("left_out", ["gate", "delta_bias"])
def test_optional_parts(left_out: str) -> None:
    leaves = draw((2, 35, 5, 3))
    del leaves[left_out]
    found = results(selective_scan, leaves, softplus=False)
    wanted = results(selective_scan_reference, leaves, softplus=False)
    torch.testing.assert_close(found, wanted, atol=1e-11, rtol=1e-11)


def test_lengths_hide_what_follows() -> None:
    leaves, lengths = draw((4, 70, 5, 3)), torch.tensor([70, 33, 1, 0])
    wanted = results(selective_scan_reference, leaves, lengths=lengths)
    with torch.no_grad():
        for name in ("u", "delta", "B", "C", "gate"):
            for row, length in enumerate(lengths.tolist()):
                leaves[name][row, length:] = torch.nan
    found = results(selective_scan, leaves, lengths=lengths)
    torch.testing.assert_close(found, wanted, atol=1e-11, rtol=1e-11)
    assert not found[0][1, 33:].any()


def test_single_precision_is_near_double() -> None:
    """Over 2,000 steps with slow decays, where errors pile up; relative to the largest entry."""
    doubles = draw((1, 2000, 20, 16))
    doubles["delta"] = (doubles["delta"].detach() - 5).requires_grad_()
    singles = {name: leaf.detach().float().requires_grad_() for name, leaf in doubles.items()}
    exact = results(
        selective_scan, {name: leaf.detach().double().requires_grad_() for name, leaf in singles.items()}
    )
    for found, wanted in zip(results(selective_scan, singles), exact, strict=True):
        assert (found - wanted).abs().max() <= 2e-6 * wanted.abs().max()


def test_gradients_by_differences() -> None:
    leaves = draw((2, 5, 3, 2))
    names = list(leaves)

    def call(*tensors: Tensor) -> tuple[Tensor, Tensor]:
        return selective_scan(**dict(zip(names, tensors, strict=True)))

    assert torch.autograd.gradcheck(call, tuple(leaves.values()))


def test_views_of_a_wider_projection() -> None:
    """gate, B and C as columns of other tensors: read in place."""
    leaves = draw((2, 34, 6, 4))
    wide = torch.cat((leaves["u"], leaves["gate"]), dim=-1).detach()
    narrow = torch.cat((leaves["B"], leaves["C"]), dim=-1).detach()
    u, gate = wide.chunk(2, dim=-1)
    B, C = narrow.chunk(2, dim=-1)
    found = selective_scan(**{**leaves, "u": u, "gate": gate, "B": B, "C": C})
    torch.testing.assert_close(found, selective_scan(**leaves), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads: int) -> None:
    leaves = draw((1, 40, 50, 3))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(threads)
        found = results(selective_scan, leaves)
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, results(selective_scan_reference, leaves), atol=1e-11, rtol=1e-11)


@pytest.mark.parametrize("sizes", [(2, 0, 3, 4), (0, 5, 3, 4)], ids=str)
def test_empty(sizes: tuple[int, int, int, int]) -> None:
    leaves = draw(sizes)
    y, state = selective_scan(**leaves)
    assert y.shape == leaves["u"].shape
    assert torch.equal(state, leaves["initial"])


def test_only_the_state_is_used() -> None:
    leaves = draw((1, 9, 3, 2))
    found = torch.autograd.grad(selective_scan(**leaves)[1].sum(), leaves["B"])
    wanted = torch.autograd.grad(selective_scan_reference(**leaves)[1].sum(), leaves["B"])
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)


def test_shapes_are_checked() -> None:
    leaves = draw((2, 3, 4, 5))
    with pytest.raises(ShapeError) as caught:
        selective_scan(**{**leaves, "B": leaves["B"][..., :2]})
    assert str(caught.value) == "selective_scan: got B of shape [2, 3, 2], want [2, 3, 5] (u is [2, 3, 4])."
    with pytest.raises(ShapeError) as caught:
        selective_scan(**{**leaves, "u": leaves["u"][0]})
    assert str(caught.value) == "selective_scan: got u [3, 4] and A [4, 5], want [B, T, D] and [D, N]."
