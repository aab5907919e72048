"""Padding, lengths and the plain loop."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from statewise.core.errors import ShapeError
from statewise.recurrence import check_sequence, last_real, real_steps, run_steps, zero_padding

LENGTHS = torch.tensor([2, 0, 3])


def add(x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    return state + x, state + x


def test_real_steps() -> None:
    assert real_steps(LENGTHS, 3).tolist() == [[True, True, False], [False] * 3, [True] * 3]


def test_zero_padding_takes_nan_away_and_leaves_its_argument() -> None:
    x = torch.full((3, 3, 1), float("nan"))
    clean = zero_padding((x, torch.ones(3, 3, dtype=torch.int64)), LENGTHS)
    assert clean[0][1].tolist() == [[0.0]] * 3
    assert clean[0][0, :2].isnan().all()
    assert clean[1].tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]]
    assert x.isnan().all()
    assert zero_padding(x, None) is x


def test_last_real() -> None:
    outputs, initial = torch.arange(9.0).view(3, 3), torch.tensor([-1.0, -2.0, -3.0])
    assert last_real(outputs, initial, LENGTHS).tolist() == [1.0, -2.0, 8.0]
    assert last_real(outputs, initial, None).tolist() == [2.0, 5.0, 8.0]


def test_run_steps_freezes_rows_after_their_length() -> None:
    x = torch.tensor([[1.0, 2.0, 9.0], [9.0, 9.0, 9.0], [1.0, 1.0, 1.0]])
    y, state = run_steps(add, x, torch.tensor([0.0, 7.0, 0.0]), LENGTHS)
    assert y.tolist() == [[1.0, 3.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]
    assert state.tolist() == [3.0, 7.0, 3.0]


def test_run_steps_over_a_tuple() -> None:
    def step(x: Any, state: Tensor) -> tuple[Tensor, Tensor]:
        return x[0] * x[1], state + x[1]

    x = (torch.tensor([[1.0, 2.0]]), torch.tensor([[3, 4]]))
    y, state = run_steps(step, x, torch.tensor([0]), None)
    assert (y.tolist(), state.tolist()) == ([[3.0, 8.0]], [7])


@pytest.mark.parametrize(
    ("x", "lengths", "text"),
    [
        (torch.ones(2, 3), None, "cell: got x of shape [2, 3], want [B, T, 4]."),
        (torch.ones(2, 3, 5), None, "cell: got x of shape [2, 3, 5], want [B, T, 4]."),
        (
            torch.ones(2, 3, 4),
            torch.ones(2),
            "cell: got lengths torch.float32 of shape [2], want one integer per row, [2].",
        ),
        (
            torch.ones(2, 3, 4),
            LENGTHS,
            "cell: got lengths torch.int64 of shape [3], want one integer per row, [2].",
        ),
        (torch.ones(3, 2, 4), LENGTHS, "cell: got a length of 3, want 0 to 2, the steps of x."),
        (torch.ones(3, 3, 4), LENGTHS - 1, "cell: got a length of -1, want 0 to 3, the steps of x."),
    ],
)
def test_check_sequence(x: Tensor, lengths: Tensor | None, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        check_sequence(x, lengths, 4, "cell")
    assert str(caught.value) == text


def test_check_sequence_lets_good_ones_pass() -> None:
    check_sequence(torch.ones(3, 3, 4), LENGTHS, 4, "cell")
    check_sequence(torch.ones(0, 3, 4), LENGTHS[:0], 4, "cell")
