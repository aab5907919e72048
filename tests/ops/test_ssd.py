"""The chunked form of SSD against its definition and against listing 1 of the paper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from equal_ops import assert_same
from forms import FORMS, in_form
from torch import Tensor

from statewise.core.errors import ShapeError
from statewise.ops import linear_attention
from statewise.ops.ssd import ssd, ssd_reference


@pytest.fixture(autouse=True, params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from in_form(request.param)


def draw(rows: int, time: int, heads: int = 4, groups: int = 2, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    make = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    decay = -2 * make(rows, time, heads).abs()
    keys, queries = make(rows, time, groups, 6), make(rows, time, groups, 6)
    return [make(rows, time, heads, 5), decay, keys, queries, make(rows, heads, 5, 6)]


@pytest.mark.parametrize("time", [1, 2, 7, 8, 9, 37])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_equals_the_definition(time: int, groups: int) -> None:
    assert_same(lambda *parts: ssd(*parts, chunk=8), ssd_reference, draw(2, time, groups=groups))


def test_lengths_and_what_stands_after_them() -> None:
    lengths, (x, decay, B, C, initial) = torch.tensor([20, 0, 7, 1]), draw(4, 20)
    after = torch.arange(20) >= lengths.unsqueeze(1)
    spoiled = [
        part.masked_fill(after.view(4, 20, *([1] * (part.dim() - 2))), torch.nan) for part in (x, decay, B, C)
    ]
    assert_same(
        lambda *parts: ssd(*parts, lengths, chunk=8),
        lambda *parts: ssd_reference(*parts, lengths),
        [*spoiled, initial],
    )
    y, state = ssd(*spoiled, initial, lengths)
    assert torch.equal(state[1], initial[1])
    assert (y[2, 7:] == 0).all()
    torch.testing.assert_close(
        state[2:3], ssd(*(part[2:3, :7] for part in (x, decay, B, C)), initial[2:3])[1]
    )


def listing_1(x: Tensor, decay: Tensor, B: Tensor, C: Tensor, initial: Tensor, block: int) -> list[Tensor]:
    """Dao and Gu 2024, listing 1, by its formulas: the whole sequence at once, chunks by einsum."""

    def segment_sum(a: Tensor) -> Tensor:
        size = a.shape[-1]
        steps = a.unsqueeze(-1).expand(*a.shape, size).tril(-1)  # [..., t, s] = a_t for s < t
        return steps.cumsum(-2).masked_fill(~torch.ones(size, size, dtype=torch.bool).tril(), -torch.inf)

    rows, time, heads, _ = x.shape
    keys, queries = (part.repeat_interleave(heads // part.shape[2], 2) for part in (B, C))
    x, a, keys, queries = (
        part.reshape(rows, time // block, block, *part.shape[2:]) for part in (x, decay, keys, queries)
    )
    a = a.permute(0, 3, 1, 2)
    total = a.cumsum(-1)
    inside = torch.einsum("bclhn,bcshn,bhcls,bcshp->bclhp", queries, keys, segment_sum(a).exp(), x)
    made = torch.einsum("bclhn,bhcl,bclhp->bchpn", keys, (total[..., -1:] - total).exp(), x)
    made = torch.cat((initial.unsqueeze(1), made), dim=1)
    between = segment_sum(torch.nn.functional.pad(total[..., -1], (1, 0))).exp()
    made = torch.einsum("bhzc,bchpn->bzhpn", between, made)
    across = torch.einsum("bclhn,bchpn,bhcl->bclhp", queries, made[:, :-1], total.exp())
    return [(inside + across).flatten(1, 2), made[:, -1]]


def test_equals_listing_1_of_the_paper() -> None:
    leaves = draw(2, 48)
    torch.testing.assert_close(
        list(ssd(*leaves, chunk=16)), listing_1(*leaves, block=12), atol=1e-11, rtol=1e-11
    )


def test_by_hand() -> None:
    half = torch.tensor(0.5).log()
    x, decay = torch.tensor([1.0, 2.0, 4.0]).view(1, 3, 1, 1), half.expand(1, 3, 1)
    one = torch.ones(1, 3, 1, 1)
    y, state = ssd(x, decay, one, 3 * one, torch.full((1, 1, 1, 1), 8.0))
    torch.testing.assert_close(y.flatten(), 3 * torch.tensor([5.0, 4.5, 6.25]))
    torch.testing.assert_close(state.flatten(), torch.tensor([6.25]))


def test_long_sequences_are_computed_again_on_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_attention, "SEGMENT", 16)
    monkeypatch.setattr(linear_attention, "KEPT", 20)
    assert_same(lambda *parts: ssd(*parts, chunk=8), ssd_reference, draw(2, 45))


def test_single_precision_stays_exact_over_ten_thousand_steps_of_extreme_decay() -> None:
    """Decays of e^-300 between stretches that keep all: sums of logarithms in float32 would lose 1e-3."""
    x, decay, B, C, initial = draw(1, 10_000, heads=2, groups=1)
    decay = torch.where(decay < -3.0, 100 * decay, 1e-4 * decay)
    want, last = ssd(x, decay, B, C, initial)
    got, after = ssd(*(part.float() for part in (x, decay, B, C, initial)))
    scale = want.abs().max()
    assert (got.double() - want).abs().max() < 2e-6 * scale
    assert (after.double() - last).abs().max() < 2e-6 * scale


@pytest.mark.parametrize(("rows", "time"), [(0, 5), (3, 0)])
def test_nothing_to_do(rows: int, time: int) -> None:
    leaves = draw(rows, time)
    y, state = ssd(*leaves)
    assert y.shape == leaves[0].shape
    assert torch.equal(state, leaves[-1])


def test_shapes_are_checked() -> None:
    x, decay, B, C, initial = draw(2, 3)
    with pytest.raises(ShapeError) as caught:
        ssd(x, decay[:, :, :1], B, C, initial)
    assert str(caught.value) == (
        "ssd: got x [2, 3, 4, 5], decay [2, 3, 1], B [2, 3, 2, 6], C [2, 3, 2, 6], initial [2, 4, 5, 6]; "
        "want x [B, T, H, P], decay [B, T, H], B and C [B, T, G, N] with G a divisor of H, "
        "initial [B, H, P, N]."
    )


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (3, 3, 17, 33), (6, 2, 64, 16)])
def test_sizes_that_are_no_multiple_of_a_register(sizes: tuple[int, int, int, int]) -> None:
    heads, groups, size, state = sizes
    leaves = [torch.randn(2, 21, heads, size), -torch.rand(2, 21, heads)]
    leaves += [torch.randn(2, 21, groups, state), torch.randn(2, 21, groups, state)]
    leaves = [leaf.double() for leaf in (*leaves, torch.randn(2, heads, size, state))]
    assert_same(lambda *parts: ssd(*parts, chunk=8), ssd_reference, leaves)


def test_lines_that_lie_apart_in_memory() -> None:
    """Views of one projection, as the cell hands them over, and one whose neighbours are far apart."""
    x, B = torch.split(torch.randn(2, 21, 4 * 5 + 6).double(), [20, 6], dim=-1)
    decay, initial = -torch.rand(2, 21, 4).double(), torch.randn(2, 4, 5, 6).double()
    turned = torch.randn(2, 21, 6, 1).double().transpose(2, 3)
    parts = [x.unflatten(-1, (4, 5)), decay, B.unsqueeze(2), turned, initial]
    assert_same(ssd, ssd_reference, parts)
    torch.testing.assert_close(ssd(*parts), ssd_reference(*parts), atol=1e-12, rtol=1e-12)


def test_threads_change_no_bit() -> None:
    leaves = [leaf.float() for leaf in draw(3, 70)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = ssd(*leaves)
        torch.set_num_threads(3)
        three = ssd(*leaves)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))
