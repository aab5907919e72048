"""The chunked delta rule against its definition, written as products of whole matrices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from equal_ops import assert_same
from forms import FORMS, in_form
from torch import Tensor

from statewise.core.errors import ShapeError
from statewise.ops import linear_attention
from statewise.ops.delta_rule import delta_rule, delta_rule_reference


@pytest.fixture(autouse=True, params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from in_form(request.param)


def draw(rows: int, time: int, heads: int = 2, seed: int = 0) -> list[Tensor]:
    """Unit keys, β over the whole of (0, 2)."""
    generator = torch.Generator().manual_seed(seed)
    make = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    k = torch.nn.functional.normalize(make(rows, time, heads, 6), dim=-1)
    beta, decay = 2 * make(rows, time, heads).sigmoid(), -make(rows, time, heads).abs()
    q, v = make(rows, time, heads, 6), make(rows, time, heads, 5)
    return [q, k, v, beta, decay, make(rows, heads, 5, 6)]


@pytest.mark.parametrize("time", [1, 2, 7, 8, 9, 37])
def test_equals_the_definition(time: int) -> None:
    assert_same(lambda *parts: delta_rule(*parts, chunk=8), delta_rule_reference, draw(2, time))


def test_equals_equation_10_as_matrices() -> None:
    """S (I - β k kᵀ) as a product with a matrix: how the paper writes it, not how either form computes it."""
    q, k, v, beta, decay, state = draw(1, 20, heads=1)
    rows, eye = [], torch.eye(6, dtype=torch.float64)
    S = state[0, 0]
    for t in range(20):
        key, b = k[0, t, 0], beta[0, t, 0]
        S = decay[0, t, 0].exp() * S @ (eye - b * torch.outer(key, key)) + b * torch.outer(v[0, t, 0], key)
        rows.append(S @ q[0, t, 0])
    y, after = delta_rule(q, k, v, beta, decay, state, chunk=8)
    torch.testing.assert_close(y[0, :, 0], torch.stack(rows), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(after[0, 0], S, atol=1e-12, rtol=1e-12)


def test_lengths_and_what_stands_after_them() -> None:
    lengths, (*parts, initial) = torch.tensor([20, 0, 7, 1]), draw(4, 20)
    after = torch.arange(20) >= lengths.unsqueeze(1)
    spoiled = [part.masked_fill(after.view(4, 20, *([1] * (part.dim() - 2))), torch.nan) for part in parts]
    assert_same(
        lambda *leaves: delta_rule(*leaves, lengths, chunk=8),
        lambda *leaves: delta_rule_reference(*leaves, lengths),
        [*spoiled, initial],
    )
    y, state = delta_rule(*spoiled, initial, lengths)
    assert torch.equal(state[1], initial[1])
    assert (y[2, 7:] == 0).all()


def test_writing_twice_under_one_key_replaces() -> None:
    """β = 1 and no decay: the memory holds the last value only, and nothing under an orthogonal key."""
    k = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).view(1, 3, 1, 2)
    v, one = torch.tensor([3.0, 5.0, 7.0]).view(1, 3, 1, 1), torch.ones(1, 3, 1)
    y, state = delta_rule(k, k, v, one, torch.zeros(1, 3, 1), torch.zeros(1, 1, 1, 2))
    assert y.flatten().tolist() == [3.0, 5.0, 7.0]
    assert state.flatten().tolist() == [5.0, 7.0]


def test_negative_eigenvalues_count_parity() -> None:
    """β = 2 turns the sign of what stands under the key, so the sign is the parity of the ones so far."""
    bits = torch.randint(2, (1, 200, 1), generator=torch.Generator().manual_seed(0)).double()
    key = torch.ones(1, 200, 1, 1, dtype=torch.float64)
    nothing = torch.zeros(1, 200, 1, dtype=torch.float64)
    start = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    y, _ = delta_rule(key, key, nothing.unsqueeze(-1), 2 * bits, nothing, start)
    assert torch.equal(y.flatten(), 1 - 2 * (bits.flatten().cumsum(0) % 2))


def test_long_sequences_are_computed_again_on_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_attention, "SEGMENT", 16)
    monkeypatch.setattr(linear_attention, "KEPT", 20)
    assert_same(lambda *parts: delta_rule(*parts, chunk=8), delta_rule_reference, draw(2, 45))


@pytest.mark.parametrize("forgets", [True, False])
def test_single_precision_stays_exact_over_ten_thousand_steps(forgets: bool) -> None:
    """Once with decays of e^-300 between stretches that keep all, once without any decay."""
    q, k, v, beta, decay, initial = draw(1, 10_000)
    decay = torch.where(decay < -1.5, 100 * decay, 1e-4 * decay) if forgets else torch.zeros_like(decay)
    want, last = delta_rule(q, k, v, beta, decay, initial)
    got, after = delta_rule(*(part.float() for part in (q, k, v, beta, decay, initial)))
    scale = want.abs().max()
    assert (got.double() - want).abs().max() < 2e-5 * scale
    assert (after.double() - last).abs().max() < 2e-5 * scale


@pytest.mark.parametrize(("rows", "time"), [(0, 5), (3, 0)])
def test_nothing_to_do(rows: int, time: int) -> None:
    leaves = draw(rows, time)
    y, state = delta_rule(*leaves)
    assert y.shape == leaves[2].shape
    assert torch.equal(state, leaves[-1])


def test_shapes_are_checked() -> None:
    q, k, v, beta, decay, initial = draw(2, 3)
    with pytest.raises(ShapeError) as caught:
        delta_rule(q, k, v, beta, decay, initial.transpose(2, 3))
    assert str(caught.value) == (
        "delta_rule: got q [2, 3, 2, 6], k [2, 3, 2, 6], v [2, 3, 2, 5], beta [2, 3, 2], decay [2, 3, 2], "
        "initial [2, 2, 6, 5]; want q and k [B, T, H, K], v [B, T, H, V], beta and decay [B, T, H], "
        "initial [B, H, V, K]."
    )


@pytest.mark.parametrize("sizes", [(1, 1, 1), (3, 17, 33), (2, 64, 16)])
def test_sizes_that_are_no_multiple_of_a_register(sizes: tuple[int, int, int]) -> None:
    heads, size, width = sizes
    k = torch.nn.functional.normalize(torch.randn(2, 41, heads, size), dim=-1)
    leaves = [torch.randn(2, 41, heads, size), k, torch.randn(2, 41, heads, width)]
    leaves += [2 * torch.rand(2, 41, heads), -torch.rand(2, 41, heads), torch.randn(2, heads, width, size)]
    leaves = [leaf.double() for leaf in leaves]
    assert_same(lambda *parts: delta_rule(*parts, chunk=20), delta_rule_reference, leaves)


def test_threads_change_no_bit() -> None:
    leaves = [leaf.float() for leaf in draw(3, 70)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = delta_rule(*leaves)
        torch.set_num_threads(3)
        three = delta_rule(*leaves)
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))
