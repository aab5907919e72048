"""Causal attention against softmax written out with complex rotations, its caches, and the law."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from statewise import state as states
from statewise.cells.attention import Attention
from statewise.core.errors import ConfigError
from statewise.testing import check_recurrence

WINDOWS = [None, 1, 3, 20]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("heads", [1, 4])
def test_keeps_the_law(window: int | None, heads: int) -> None:
    check_recurrence(lambda: Attention(3, 6, num_heads=heads, window=window), 3)


def test_window_keeps_the_law_over_several_blocks() -> None:
    check_recurrence(lambda: Attention(3, 4, num_heads=2, window=3), 3, time=17)


def plain(cell: Attention, x: Tensor, first: int = 0) -> Tensor:
    """One row from its equation: rotations as complex factors, softmax step by step, O(T²)."""
    size, time = cell.head_size, len(x)
    parts = (x @ cell.input.weight.T).view(time, 3, cell.num_heads, size)
    frequency = 10_000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    turn = torch.polar(torch.ones(1).double(), (torch.arange(time) + first).view(-1, 1) * frequency)
    q, k = (torch.complex(*parts[:, i].chunk(2, -1)) * turn.unsqueeze(1) for i in (0, 1))
    rows = []
    for t in range(time):
        start = 0 if cell.window is None else max(0, t - cell.window + 1)
        scores = (q[t] * k[start : t + 1].conj()).real.sum(-1) / size**0.5  # [steps, heads]
        rows.append((scores.softmax(0).unsqueeze(-1) * parts[start : t + 1, 2]).sum(0).flatten())
    return torch.stack(rows) @ cell.output.weight.T


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("heads", [1, 3])
def test_equals_the_equation(window: int | None, heads: int) -> None:
    torch.manual_seed(0)
    cell = Attention(3, 8, num_heads=heads, window=window).double()
    x = torch.randn(1, 25, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[0][0], plain(cell, x[0]), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("window", WINDOWS)
def test_only_differences_of_positions_matter(window: int | None) -> None:
    cell = Attention(3, 8, window=window).double()
    x = torch.randn(1, 25, 3, dtype=torch.float64)
    torch.testing.assert_close(plain(cell, x[0]), plain(cell, x[0], first=1_000), atol=1e-9, rtol=0.0)


def test_far_positions_do_not_lose_their_angles() -> None:
    """In float32, after ten million steps, the last window is read as after none."""
    torch.manual_seed(0)
    cell = Attention(3, 8, window=4)
    x = torch.randn(1, 12, 3)
    start = cell.initial_state(1)
    late = start._replace(steps=start.steps + 10_000_000)
    torch.testing.assert_close(cell(x, late)[0][:, 4:], cell(x)[0][:, 4:], atol=1e-5, rtol=0.0)


def test_the_growing_cache_holds_one_entry_per_step() -> None:
    cell = Attention(3, 8)
    _, state = cell(torch.randn(3, 6, 3), None, torch.tensor([4, 0, 2]))
    assert state.keys.shape == state.values.shape == (3, 4, 4, 2)
    assert state.steps.tolist() == [4, 0, 2]
    filled = state.keys.abs().sum((2, 3)) > 0
    assert filled.tolist() == [[True] * 4, [False] * 4, [True, True, False, False]]
    _, state = cell.step(torch.randn(3, 3), state)
    assert state.keys.shape == (3, 5, 4, 2)
    assert (state.keys.abs().sum((2, 3)) > 0).sum(1).tolist() == [5, 1, 3]
    assert states.growing_leaves(state) == {"keys", "values"}


def test_the_window_has_one_size() -> None:
    cell = Attention(3, 8, window=5)
    state = cell.initial_state(2)
    for _ in range(8):
        _, state = cell.step(torch.randn(2, 3), state)
        assert state.keys.shape == (2, 5, 4, 2)
    assert state.steps.tolist() == [8, 8]
    assert states.growing_leaves(state) == set()


@pytest.mark.parametrize("window", WINDOWS)
def test_rows_of_different_age_in_one_batch(window: int | None) -> None:
    """A server's batch: sessions after 2 and after 9 steps, joined, stepped and read on, as if alone."""
    cell = Attention(3, 8, window=window).double()
    young, old = (cell(torch.randn(1, steps, 3).double())[1] for steps in (2, 9))
    x = torch.randn(2, 7, 3).double()
    y, after = cell(x, states.concat([young, old]))
    for row, state in enumerate((young, old)):
        alone, last = cell(x[row : row + 1], state)
        torch.testing.assert_close(y[row : row + 1], alone)
        mine, last = states.align(states.take(after, torch.tensor([row])), last)
        torch.testing.assert_close(mine, last)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_heads": 0}, "num_heads: got 0, want 1 or more."),
        ({"window": 0}, "window: got 0, want 1 or more."),
    ],
)
def test_refuses(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Attention(3, 4, **options)
    assert str(caught.value) == text
