"""The scans of minGRU and minLSTM against their definitions, compiled and not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from forms import FORMS, in_form
from torch import Tensor

from statewise.core.errors import ShapeError
from statewise.ops.channels import columns
from statewise.ops.min_gru_scan import min_gru_scan, min_gru_scan_reference
from statewise.ops.min_lstm_scan import min_lstm_scan, min_lstm_scan_reference

Scan = Callable[..., Tensor]
SCANS = {
    "gru": (2, min_gru_scan, min_gru_scan_reference),
    "lstm": (3, min_lstm_scan, min_lstm_scan_reference),
}
SIZES = [(1, 1, 1), (2, 2, 5), (1, 65, 17), (3, 9, 40), (2, 33, 100)]  # B, T, D


@pytest.fixture(autouse=True, params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from in_form(request.param)


def draw(count: int, sizes: tuple[int, int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(sum(sizes))
    shapes = [sizes] * count + [(sizes[0], sizes[2])]
    drawn = [2 * torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]
    return [leaf.requires_grad_() for leaf in drawn]


def results(scan: Scan, leaves: list[Tensor], **options: object) -> list[Tensor]:
    """h and all gradients under fixed weights."""
    h = scan(*leaves, **options)
    weights = torch.linspace(-1.0, 1.0, h.numel(), dtype=h.dtype).view_as(h)
    return [h, *torch.autograd.grad((h * weights).sum(), leaves)]


@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("name", SCANS)
def test_equals_the_definition(name: str, sizes: tuple[int, int, int], positive: bool) -> None:
    count, scan, reference = SCANS[name]
    leaves = draw(count, sizes)
    found = results(scan, leaves, positive=positive)
    wanted = results(reference, leaves, positive=positive)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("name", SCANS)
def test_lengths_hide_what_follows(name: str) -> None:
    count, scan, reference = SCANS[name]
    leaves, lengths = draw(count, (4, 9, 5)), torch.tensor([9, 4, 1, 0])
    wanted = results(reference, leaves, lengths=lengths)
    with torch.no_grad():
        for leaf in leaves[:-1]:
            for row, length in enumerate(lengths.tolist()):
                leaf[row, length:] = torch.nan
    found = results(scan, leaves, lengths=lengths)
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)


def test_gates_far_from_zero() -> None:
    """What is kept is a quotient of two sigmoids, which may both vanish: f / (f + i) → σ(forget - input)."""
    forget, input = (
        torch.tensor(row).view(1, -1, 1) for row in ([-200.0, 90, -300, 5], [-190.0, -90, 300, 5])
    )
    value, start = torch.zeros(1, 4, 1), torch.ones(1, 1)
    h = min_lstm_scan(forget, input, value, start).flatten()
    keep = torch.tensor(-10.0).sigmoid()
    torch.testing.assert_close(h, torch.stack((keep, keep, torch.tensor(0.0), torch.tensor(0.0))))


@pytest.mark.parametrize("name", SCANS)
def test_single_precision_is_near_double(name: str) -> None:
    count, scan, _ = SCANS[name]
    singles = [leaf.detach().float().requires_grad_() for leaf in draw(count, (2, 700, 20))]
    exact = results(scan, [leaf.detach().double().requires_grad_() for leaf in singles], positive=True)
    for found, wanted in zip(results(scan, singles, positive=True), exact, strict=True):
        assert (found - wanted).abs().max() <= 2e-6 * wanted.abs().max()


@pytest.mark.parametrize("name", SCANS)
def test_gradients_by_differences(name: str) -> None:
    count, scan, _ = SCANS[name]
    assert torch.autograd.gradcheck(lambda *given: scan(*given, positive=True), tuple(draw(count, (2, 4, 3))))


def test_columns_of_one_projection() -> None:
    """Read in place, and their gradient is one tensor again."""
    gate, value, start = draw(2, (2, 9, 6))
    wide = torch.cat((gate, value), dim=-1).detach().requires_grad_()
    found = torch.autograd.grad(min_gru_scan(*columns(wide, 2), start).sum(), wide)[0]
    wanted = torch.autograd.grad(min_gru_scan_reference(*wide.chunk(2, dim=-1), start).sum(), wide)[0]
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)


def test_columns_used_apart() -> None:
    wide = torch.randn(2, 3, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: columns(x, 3)[1] * columns(x, 2)[0][..., :2], (wide,))
    assert torch.autograd.gradgradcheck(lambda x: columns(x, 3)[1].square(), (wide,))


@pytest.mark.parametrize("name", SCANS)
def test_empty(name: str) -> None:
    count, scan, _ = SCANS[name]
    for sizes in ((2, 0, 3), (0, 4, 3)):
        assert scan(*draw(count, sizes)).shape == sizes


def test_shapes_are_checked() -> None:
    gate, value, start = draw(2, (2, 3, 4))
    with pytest.raises(ShapeError) as caught:
        min_gru_scan(gate, value[:, :2], start)
    got = "gate [2, 3, 4], value [2, 2, 4], initial [2, 4]"
    assert str(caught.value) == f"min_gru_scan: got {got}, want gate and value [B, T, D] and initial [B, D]."
