"""The compiled sLSTM against automatic differentiation of the equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from recurrent_cases import SIZES, Case, compare
from torch import Tensor

from statewise.ops.native import without_native
from statewise.ops.slstm_scan import slstm_scan, slstm_scan_reference


def draw(case: Case, heads: int, fresh: bool) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    size = case.size // heads
    weight = case.leaf(heads, 4 * size, size, scale=max(size, 1) ** -0.5)
    state = [case.leaf(case.batch, case.size) for _ in range(4)]
    with torch.no_grad():
        state[2].abs_().add_(0.5)
        if fresh:  # nothing is remembered yet
            for part in state:
                part.zero_()
    return case.leaf(case.steps, 4 * case.size), weight, tuple(state)


def flat(result: tuple[Tensor, tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return result[0], *result[1]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("sizes", [*SIZES, (3, 5, 12, True, False)], ids=str)
def test_equals_the_equations(sizes: Any, dtype: torch.dtype) -> None:
    heads = [heads for heads in (1, 2, 3) if sizes[2] % heads == 0]
    for count, exponential, fresh in zip(
        (*heads, 1), (False, True, False, True), (True, False, False), strict=False
    ):
        case = Case(*sizes, dtype)
        p, weight, state = draw(case, count, fresh)
        given = (p, weight, state, exponential, case.lengths, case.reverse)
        leaves = [p, weight, *state]
        compare(lambda run, given=given: flat(run(*given)), slstm_scan, slstm_scan_reference, leaves, dtype)


def test_gradient_by_differences() -> None:
    p, weight, state = draw(Case(2, 4, 4, False, False, torch.float64), 2, False)
    assert torch.autograd.gradcheck(lambda p, u, *s: flat(slstm_scan(p, u, s)), (p, weight, *state))


def test_extreme_gates_stay_finite() -> None:
    p, weight, state = draw(Case(2, 4, 4, False, False, torch.float32), 1, False)
    for sign in (1.0, -1.0):
        large = (p.detach() * 0 + sign * 200).requires_grad_()
        hidden, last = slstm_scan(large, weight, state, True)
        want, _ = slstm_scan_reference(large, weight, state, True)
        torch.testing.assert_close(hidden, want, atol=1e-5, rtol=0.0)
        assert all(part.isfinite().all() for part in last)
        assert torch.autograd.grad(hidden.sum(), large)[0].isfinite().all()


def test_without_the_extension() -> None:
    case = Case(5, 4, 6, True, True, torch.float64)
    p, weight, state = draw(case, 2, True)
    with without_native():
        want = flat(slstm_scan(p, weight, state, False, case.lengths, True))
    torch.testing.assert_close(flat(slstm_scan(p, weight, state, False, case.lengths, True)), want)
