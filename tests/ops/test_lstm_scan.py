"""The compiled LSTM and the one with a gradient by hand against automatic differentiation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recurrent_cases import SIZES, Case, compare
from torch import Tensor

from statewise.ops.lstm_by_hand import lstm_by_hand
from statewise.ops.lstm_scan import LSTMLoop, lstm_scan, lstm_scan_reference
from statewise.ops.native import without_native

OPTIONS: list[set[str]] = [
    set(),
    {"keep"},
    {"stay"},
    {"rate"},
    {"norm"},
    {"peephole"},
    {"projection"},
    {"coupled"},
    {"coupled", "peephole", "norm"},
    {"projection", "norm", "stay"},
    {"keep", "rate", "peephole", "projection"},
    {"keep", "stay", "norm", "peephole", "projection", "coupled"},
]


def draw(case: Case, options: set[str]) -> tuple[list[Tensor | None], LSTMLoop]:
    size, gates = case.size, 3 if "coupled" in options else 4
    short = max(1, size // 2) if "projection" in options else size
    norms = (case.leaf(gates * size), case.leaf(size), case.leaf(size)) if "norm" in options else (None,) * 3
    loop = LSTMLoop(
        case.keep(short) if "keep" in options else None,
        case.stay(short) if "stay" in options else None,
        case.stay(size) if "stay" in options else None,
        *((0.3, 0.2) if "rate" in options else (0.0, 0.0)),
        *norms,
        case.leaf(3, size) if "peephole" in options else None,
        case.weight(short, size) if "projection" in options else None,
        "coupled" in options,
    )
    leaves = (case.leaf(case.steps, gates * size), case.weight(gates * size, short))
    starts = (case.leaf(case.batch, short), case.leaf(case.batch, size))
    return [*leaves, *starts, *norms, loop.peephole, loop.projection], loop


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_equals_the_equations(sizes: Any, dtype: torch.dtype) -> None:
    for options in OPTIONS:
        case = Case(*sizes, dtype)
        if "norm" in options and case.size == 1:  # of one value is zero: what is left is rounding
            continue
        leaves, loop = draw(case, options)
        given = (*leaves[:4], loop, case.lengths, case.reverse)
        compare(lambda run, given=given: run(*given), lstm_scan, lstm_scan_reference, leaves, dtype)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("time", "batch", "size"), [(1, 1, 1), (1, 3, 4), (9, 2, 5), (40, 1, 3)])
def test_by_hand_equals_the_equations(time: int, batch: int, size: int, masked: bool) -> None:
    leaves, loop = draw(Case(batch, time, size, False, False, torch.float64), {"keep"} if masked else set())
    p, u, h, c = leaves[:4]
    keep = h.new_zeros(batch, 0) if loop.keep is None else loop.keep
    hidden, cells = lstm_by_hand(p.view(batch, time, -1).transpose(0, 1), u, h, c, keep)
    got = hidden.transpose(0, 1).flatten(0, 1), hidden[-1], cells[-1]
    want = lstm_scan_reference(p, u, h, c, loop)
    torch.testing.assert_close(got, want, atol=1e-13, rtol=0.0)
    weights = [torch.randn_like(part) for part in want]
    totals = [sum((y * w).sum() for y, w in zip(form, weights, strict=True)) for form in (got, want)]
    gradients = [torch.autograd.grad(total, leaves[:4]) for total in totals]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_gradient_of_one_output_alone(part: int) -> None:
    leaves, loop = draw(Case(2, 5, 3, False, False, torch.float64), {"keep"})
    got, want = (run(*leaves[:4], loop)[part].sum() for run in (lstm_scan, lstm_scan_reference))
    gradients = [torch.autograd.grad(value, leaves[:4]) for value in (got, want)]
    torch.testing.assert_close(*gradients, atol=1e-12, rtol=1e-12)


def test_gradient_by_differences() -> None:
    leaves, loop = draw(Case(2, 4, 2, False, False, torch.float64), {"keep"})
    assert torch.autograd.gradcheck(lambda *parts: lstm_scan(*parts, loop), leaves[:4])


def test_changes_none_of_its_arguments() -> None:
    leaves, loop = draw(Case(2, 6, 3, False, False, torch.float64), {"keep"})
    parts = (*leaves[:4], loop.keep)
    kept = [leaf.detach().clone() for leaf in parts]
    lstm_scan(*leaves[:4], loop)[0].sum().backward()
    assert all(torch.equal(leaf, copy) for leaf, copy in zip(parts, kept, strict=True))


def test_rows_do_not_know_their_neighbours() -> None:
    """Bit by bit: every row's products are summed in one order, however many rows there are."""
    size, time = 20, 4
    leaves, loop = draw(Case(31, time, size, False, False, torch.float32), set())
    p, u, h, c = (leaf.detach() for leaf in leaves[:4])
    whole = lstm_scan(p, u, h, c, loop)[0].view(31, time, size)
    for row in (0, 13, 30):
        steps, one = slice(row * time, (row + 1) * time), slice(row, row + 1)
        assert torch.equal(lstm_scan(p[steps], u, h[one], c[one], loop)[0], whole[row])


def test_without_the_extension() -> None:
    case = Case(5, 4, 7, True, True, torch.float64)
    leaves, loop = draw(case, {"stay", "norm", "peephole", "projection"})
    given = (*leaves[:4], loop, case.lengths, case.reverse)
    with without_native():
        want = lstm_scan(*given)
    torch.testing.assert_close(lstm_scan(*given), want)
