"""The causal convolution against its definition and torch's, compiled and not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from forms import FORMS, in_form
from torch import Tensor
from torch.nn import functional

from statewise.core.errors import ShapeError
from statewise.ops.causal_conv import causal_conv, causal_conv_reference

SIZES = [(1, 1, 1, 1), (2, 2, 5, 4), (1, 7, 17, 3), (3, 9, 40, 2), (2, 3, 33, 6)]  # B, T, D, K


@pytest.fixture(autouse=True, params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from in_form(request.param)


def draw(sizes: tuple[int, int, int, int]) -> list[Tensor]:
    batch, time, width, taps = sizes
    generator = torch.Generator().manual_seed(sum(sizes))
    shapes = ((batch, time, width), (width, taps), (width,), (batch, taps - 1, width))
    drawn = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [leaf.requires_grad_() for leaf in drawn]


def results(conv: object, leaves: list[Tensor], **options: object) -> list[Tensor]:
    """y, the last inputs, and all gradients under fixed weights."""
    assert callable(conv)
    y, tail = conv(*leaves, **options)
    weights = [torch.linspace(-1.0, 1.0, part.numel(), dtype=part.dtype).view_as(part) for part in (y, tail)]
    loss = (y * weights[0]).sum() + (tail * weights[1]).sum()
    return [y, tail, *torch.autograd.grad(loss, leaves)]


@pytest.mark.parametrize("silu", [True, False])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_equals_the_definition(sizes: tuple[int, int, int, int], silu: bool) -> None:
    leaves = draw(sizes)
    found = results(causal_conv, leaves, silu=silu)
    torch.testing.assert_close(
        found, results(causal_conv_reference, leaves, silu=silu), atol=1e-12, rtol=1e-12
    )


def test_lengths_hide_what_follows() -> None:
    leaves, lengths = draw((4, 6, 5, 4)), torch.tensor([6, 4, 1, 0])
    wanted = results(causal_conv_reference, leaves, silu=True, lengths=lengths)
    with torch.no_grad():
        for row, length in enumerate(lengths.tolist()):
            leaves[0][row, length:] = torch.nan
    found = results(causal_conv, leaves, silu=True, lengths=lengths)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)


def test_equals_torch() -> None:
    x, weight, bias, _ = draw((2, 11, 6, 3))
    y, _ = causal_conv(x, weight, bias, torch.zeros(2, 2, 6, dtype=torch.float64))
    padded = functional.conv1d(x.transpose(1, 2), weight.unsqueeze(1), bias, padding=2, groups=6)
    torch.testing.assert_close(y, padded[..., :11].transpose(1, 2), atol=1e-12, rtol=1e-12)


def test_gradients_by_differences() -> None:
    leaves = tuple(draw((2, 4, 3, 3)))
    assert torch.autograd.gradcheck(lambda *given: causal_conv(*given, silu=True), leaves)


def test_without_bias_and_from_a_view() -> None:
    x, weight, _, initial = draw((2, 8, 6, 4))
    wide = torch.cat((x, x), dim=-1).detach()
    found = causal_conv(wide[..., 6:], weight, None, initial)
    torch.testing.assert_close(found, causal_conv_reference(x, weight, None, initial), atol=1e-12, rtol=1e-12)


def test_empty() -> None:
    x, weight, bias, initial = draw((2, 3, 4, 3))
    y, tail = causal_conv(x[:, :0], weight, bias, initial)
    assert y.shape == (2, 0, 4)
    assert torch.equal(tail, initial)


def test_shapes_are_checked() -> None:
    x, weight, bias, initial = draw((2, 3, 4, 3))
    with pytest.raises(ShapeError) as caught:
        causal_conv(x, weight, bias, initial[:, :1])
    got = "x [2, 3, 4], weight [4, 3], initial [2, 1, 4]"
    want = "[B, T, D], [D, K] and [B, K-1, D] (and a bias [D])"
    assert str(caught.value) == f"causal_conv: got {got}, want {want}."
