"""The compiled GRU and the one with a gradient by hand against automatic differentiation of the equations."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from recurrent_cases import SIZES, Case, compare
from torch import Tensor

from statewise.ops.gru_by_hand import gru_by_hand
from statewise.ops.gru_scan import GRULoop, gru_scan, gru_scan_reference
from statewise.ops.native import without_native

OPTIONS = [*product((True, False), (False, True), ("", "keep")), (True, True, "stay"), (False, False, "rate")]


def draw(case: Case, after: bool, norm: bool, extra: str) -> tuple[list[Tensor | None], GRULoop]:
    size = case.size
    gains = (case.leaf(2 * size), case.leaf(size)) if norm else (None, None)
    loop = GRULoop(
        case.keep(size) if extra == "keep" else None,
        case.stay(size) if extra == "stay" else None,
        0.3 if extra == "rate" else 0.0,
        *gains,
        after,
    )
    leaves = (case.leaf(case.steps, 3 * size), case.weight(3 * size, size), case.leaf(3 * size))
    return [*leaves, case.leaf(case.batch, size), *gains], loop


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_equals_the_equations(sizes: Any, dtype: torch.dtype) -> None:
    for after, norm, extra in OPTIONS:
        case = Case(*sizes, dtype)
        if norm and case.size == 1:  # of one value is zero: what is left is rounding
            continue
        leaves, loop = draw(case, after, norm, extra)
        given = (*leaves[:4], loop, case.lengths, case.reverse)
        compare(lambda run, given=given: run(*given), gru_scan, gru_scan_reference, leaves, dtype)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("time", "batch", "size"), [(1, 1, 1), (1, 3, 4), (9, 2, 5), (40, 1, 3)])
def test_by_hand_equals_the_equations(time: int, batch: int, size: int, masked: bool) -> None:
    leaves, loop = draw(Case(batch, time, size, False, False, torch.float64), True, False, "keep" * masked)
    p, u, d, h = leaves[:4]
    keep = h.new_zeros(batch, 0) if loop.keep is None else loop.keep
    got = gru_by_hand(p.view(batch, time, -1).transpose(0, 1), u, d, h, keep).transpose(0, 1).flatten(0, 1)
    want = gru_scan_reference(p, u, d, h, loop)[0]
    torch.testing.assert_close(got, want, atol=1e-13, rtol=0.0)
    weights = torch.randn_like(want)
    gradients = [torch.autograd.grad((y * weights).sum(), leaves[:4]) for y in (got, want)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-12)


def test_gradient_by_differences() -> None:
    case = Case(2, 5, 3, False, False, torch.float64)
    leaves, loop = draw(case, True, False, "keep")
    assert torch.autograd.gradcheck(lambda *parts: gru_scan(*parts, loop), leaves[:4])


def test_only_what_is_asked_for() -> None:
    """A part without a gradient (a fixed start, frozen weights) leaves the others' as they are."""
    leaves, loop = draw(Case(2, 6, 3, False, False, torch.float64), True, False, "")
    want = torch.autograd.grad(gru_scan(*leaves[:4], loop)[0].sum(), leaves[1])
    frozen = [leaf if i == 1 else leaf.detach() for i, leaf in enumerate(leaves[:4])]
    torch.testing.assert_close(torch.autograd.grad(gru_scan(*frozen, loop)[0].sum(), leaves[1]), want)


def test_gradient_of_the_last_state_alone() -> None:
    leaves, loop = draw(Case(2, 4, 3, False, False, torch.float64), True, False, "")
    got, want = (
        torch.autograd.grad(run(*leaves[:4], loop)[1].sum(), leaves[:4])
        for run in (gru_scan, gru_scan_reference)
    )
    torch.testing.assert_close(got, want)


def test_changes_none_of_its_arguments() -> None:
    leaves, loop = draw(Case(2, 6, 3, False, False, torch.float64), True, False, "keep")
    parts = (*leaves[:4], loop.keep)
    kept = [leaf.detach().clone() for leaf in parts]
    gru_scan(*leaves[:4], loop)[0].sum().backward()
    assert all(torch.equal(leaf, copy) for leaf, copy in zip(parts, kept, strict=True))


def test_rows_do_not_know_their_neighbours() -> None:
    """Bit by bit: every row's products are summed in one order, however many rows there are."""
    size, time = 20, 4
    leaves, loop = draw(Case(31, time, size, False, False, torch.float32), True, False, "")
    p, u, d, h = (leaf.detach() for leaf in leaves[:4])
    whole = gru_scan(p, u, d, h, loop)[0].view(31, time, size)
    for row in (0, 13, 30):
        alone = gru_scan(p[row * time : (row + 1) * time], u, d, h[row : row + 1], loop)[0]
        assert torch.equal(alone, whole[row])


def test_without_the_extension() -> None:
    case = Case(5, 4, 7, True, True, torch.float64)
    leaves, loop = draw(case, True, True, "stay")
    given = (*leaves[:4], loop, case.lengths, case.reverse)
    with without_native():
        want = gru_scan(*given)
    torch.testing.assert_close(gru_scan(*given), want)
