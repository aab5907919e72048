"""The compiled simple recurrent network against automatic differentiation of the equations."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from recurrent_cases import SIZES, Case, compare
from torch import Tensor

from statewise.ops.native import without_native
from statewise.ops.rnn_scan import RNNLoop, rnn_scan, rnn_scan_reference

OPTIONS = [*product((True, False), (False, True), ("", "keep")), (True, False, "stay"), (False, True, "rate")]


def draw(case: Case, relu: bool, norm: bool, extra: str) -> tuple[list[Tensor | None], RNNLoop]:
    size = case.size
    norms = (case.leaf(size), case.leaf(size)) if norm else (None, None)
    keep = case.keep(size) if extra == "keep" else None
    stay = case.stay(size) if extra == "stay" else None
    loop = RNNLoop(keep, stay, 0.3 if extra == "rate" else 0.0, *norms, relu)
    leaves = (case.leaf(case.steps, size), case.weight(size, size), case.leaf(case.batch, size))
    return [*leaves, *norms], loop


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_equals_the_equations(sizes: Any, dtype: torch.dtype) -> None:
    for relu, norm, extra in OPTIONS:
        case = Case(*sizes, dtype)
        if norm and case.size == 1:  # of one value is zero: what is left is rounding
            continue
        leaves, loop = draw(case, relu, norm, extra)
        given = (*leaves[:3], loop, case.lengths, case.reverse)
        compare(lambda run, given=given: run(*given), rnn_scan, rnn_scan_reference, leaves, dtype)


def test_gradient_by_differences() -> None:
    leaves, loop = draw(Case(2, 5, 3, False, False, torch.float64), False, False, "keep")
    assert torch.autograd.gradcheck(lambda *parts: rnn_scan(*parts, loop), leaves[:3])


def test_relu_lets_nan_through() -> None:
    """An overflow must be seen, not become zero."""
    leaves, loop = draw(Case(1, 2, 3, False, False, torch.float32), True, False, "")
    p = leaves[0].detach().clone()
    p[0, 1] = float("nan")
    assert rnn_scan(p, *leaves[1:3], loop)[0][0, 1].isnan()


def test_without_the_extension() -> None:
    case = Case(5, 4, 7, True, True, torch.float64)
    leaves, loop = draw(case, True, True, "stay")
    given = (*leaves[:3], loop, case.lengths, case.reverse)
    with without_native():
        want = rnn_scan(*given)
    torch.testing.assert_close(rnn_scan(*given), want)
