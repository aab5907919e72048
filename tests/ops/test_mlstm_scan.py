"""The chunked matrix memory against its definition, and against the paper's forms without stabiliser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from equal_ops import assert_same
from forms import FORMS, in_form
from torch import Tensor
from torch.nn import functional

from statewise.core.errors import ShapeError
from statewise.ops import linear_attention
from statewise.ops.mlstm_scan import EPSILON, MatrixMemory, mlstm_scan, mlstm_scan_reference


@pytest.fixture(autouse=True, params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    yield from in_form(request.param)


def draw(rows: int, time: int, heads: int = 2, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    make = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    q, k, v = make(rows, time, heads, 6), make(rows, time, heads, 6), make(rows, time, heads, 5)
    input, forget = 3 * make(rows, time, heads), functional.logsigmoid(3 * make(rows, time, heads))
    return [q, k, v, input, forget, make(rows, heads, 5, 6), make(rows, heads, 6), make(rows, heads)]


def chunked(*leaves: Tensor, lengths: Tensor | None = None, chunk: int = 8) -> Any:
    return mlstm_scan(*leaves[:5], MatrixMemory(*leaves[5:]), lengths, chunk)


def stepped(*leaves: Tensor, lengths: Tensor | None = None) -> Any:
    return mlstm_scan_reference(*leaves[:5], MatrixMemory(*leaves[5:]), lengths)


@pytest.mark.parametrize("time", [1, 2, 7, 8, 9, 37])
def test_equals_the_definition(time: int) -> None:
    assert_same(chunked, stepped, draw(2, time))


def test_lengths_and_what_stands_after_them() -> None:
    lengths, leaves = torch.tensor([20, 0, 7, 1]), draw(4, 20)
    after = torch.arange(20) >= lengths.unsqueeze(1)
    spoiled = [
        part.masked_fill(after.view(4, 20, *([1] * (part.dim() - 2))), torch.nan) for part in leaves[:5]
    ]
    assert_same(
        lambda *parts: chunked(*parts, lengths=lengths),
        lambda *parts: stepped(*parts, lengths=lengths),
        [*spoiled, *leaves[5:]],
    )
    y, memory = chunked(*spoiled, *leaves[5:], lengths=lengths)
    assert all(torch.equal(part[1], start[1]) for part, start in zip(memory, leaves[5:], strict=True))
    assert (y[2, 7:] == 0).all()


def test_equals_the_equations_without_a_stabiliser() -> None:
    """Equations 19 to 27 as they stand, where no exponential leaves the range of float64."""
    q, k, v, input, forget, *_ = leaves = draw(1, 30, heads=1)
    C, n = torch.zeros(5, 6).double(), torch.zeros(6).double()
    rows = []
    for t in range(30):
        f, i = forget[0, t, 0].exp(), input[0, t, 0].exp()
        C, n = f * C + i * torch.outer(v[0, t, 0], k[0, t, 0]), f * n + i * k[0, t, 0]
        rows.append(C @ q[0, t, 0] / (n @ q[0, t, 0]).abs().clamp(min=1.0))
    start = MatrixMemory(*(torch.zeros_like(part) for part in leaves[5:]))
    y, memory = mlstm_scan(*leaves[:5], start, chunk=8)
    scale = memory.stabiliser.exp()
    torch.testing.assert_close(memory.matrix[0, 0] * scale.view(1, 1), C, atol=1e-11, rtol=1e-11)
    torch.testing.assert_close(memory.normaliser[0, 0] * scale.view(1), n, atol=1e-11, rtol=1e-11)
    # ε of the authors' code stands beside a denominator scaled by exp(-m): at most ε exp(m) of 1 apart.
    largest = float(torch.cat((input.flatten(), torch.zeros(1))).max().exp())
    torch.testing.assert_close(y[0, :, 0], torch.stack(rows), atol=0.0, rtol=2 * EPSILON * largest)


def test_equals_the_parallel_form_of_the_authors() -> None:
    """The stabilised quadratic form (Beck et al. 2024, appendix A.3): one matrix over the whole sequence."""
    q, k, v, input, forget, *_ = leaves = draw(2, 30)
    total = forget.cumsum(1).transpose(1, 2)
    logs = total.unsqueeze(-1) - total.unsqueeze(-2) + input.transpose(1, 2).unsqueeze(-2)
    logs = logs.masked_fill(~torch.ones(30, 30, dtype=torch.bool).tril(), -torch.inf)
    largest = logs.max(-1, keepdim=True).values
    weights = torch.einsum("bthk,bshk->bhts", q, k) * (logs - largest).exp()
    norm = torch.maximum(weights.sum(-1, keepdim=True).abs(), (-largest).exp()) + EPSILON
    want = torch.einsum("bhts,bshv->bthv", weights / norm, v)
    start = MatrixMemory(
        *(torch.zeros_like(part) for part in leaves[5:7]), torch.full((2, 2), -1e30).double()
    )
    y, _ = mlstm_scan(*leaves[:5], start, chunk=8)
    torch.testing.assert_close(y, want, atol=1e-10, rtol=1e-10)


def test_long_sequences_are_computed_again_on_the_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_attention, "SEGMENT", 16)
    monkeypatch.setattr(linear_attention, "KEPT", 20)
    assert_same(chunked, stepped, draw(2, 45))


@pytest.mark.parametrize("gate", [0.0, -300.0, 300.0])
def test_single_precision_stays_finite_and_exact_over_ten_thousand_steps(gate: float) -> None:
    """Input gates around e^gate beside forget gates down to e^-300: no exponential leaves the range."""
    q, k, v, input, forget, *start = draw(1, 10_000)
    q, k = q.abs(), k.abs()  # so that n · q is not near zero by chance, where any rounding is magnified
    forget = torch.where(forget < -3.0, 40 * forget, 1e-3 * forget)
    leaves = [q, k, v, 3 * input + gate, forget, *start]
    want, _ = chunked(*leaves, chunk=64)
    got, memory = chunked(*(part.float() for part in leaves), chunk=64)
    assert all(part.isfinite().all() for part in memory)
    assert (got.double() - want).abs().max() < 2e-5 * max(1.0, float(want.abs().max()))


@pytest.mark.parametrize("gate", [0.0, -300.0, 300.0])
def test_gradients_stay_finite_at_extreme_gates(gate: float) -> None:
    q, k, v, input, forget, *start = (part.float() for part in draw(1, 300))
    leaves = [q, k, v, input + gate, 50 * forget, *(torch.zeros_like(part) for part in start)]
    leaves = [leaf.requires_grad_() for leaf in leaves]
    y, memory = chunked(*leaves, chunk=64)
    for gradient in torch.autograd.grad(y.sum() + memory.matrix.sum(), leaves):
        assert gradient.isfinite().all()


@pytest.mark.parametrize(("rows", "time"), [(0, 5), (3, 0)])
def test_nothing_to_do(rows: int, time: int) -> None:
    leaves = draw(rows, time)
    y, memory = chunked(*leaves)
    assert y.shape == leaves[2].shape
    assert all(torch.equal(part, start) for part, start in zip(memory, leaves[5:], strict=True))


def test_shapes_are_checked() -> None:
    leaves = draw(2, 3)
    leaves[3] = leaves[3][:, :, :1]
    with pytest.raises(ShapeError) as caught:
        chunked(*leaves)
    assert str(caught.value) == (
        "mlstm_scan: got q [2, 3, 2, 6], k [2, 3, 2, 6], v [2, 3, 2, 5], input [2, 3, 1], forget [2, 3, 2], "
        "matrix [2, 2, 5, 6], normaliser [2, 2, 6], stabiliser [2, 2]; want q and k [B, T, H, K], "
        "v [B, T, H, V], input and forget [B, T, H], matrix [B, H, V, K], normaliser [B, H, K], "
        "stabiliser [B, H]."
    )
