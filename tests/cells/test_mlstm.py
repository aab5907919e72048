"""The mLSTM against the equations of the paper without stabiliser, and under the law."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from shaken import shaken
from torch import Tensor

from statewise.cells.mlstm import MLSTM
from statewise.core.errors import ConfigError
from statewise.testing import check_recurrence


@pytest.mark.parametrize("options", [{}, {"num_heads": 1}, {"key_fraction": 1.0}, {"forget": "exp"}])
def test_keeps_the_law(options: dict[str, Any]) -> None:
    check_recurrence(lambda: shaken(MLSTM(3, 6, **options)), 3)


def test_keeps_the_law_across_chunks() -> None:
    check_recurrence(lambda: shaken(MLSTM(3, 4, num_heads=2)), 3, batch=3, time=70)


def one_row(cell: MLSTM, x: Tensor) -> Tensor:
    """Equations 19 to 27 for one row, head by head, exponentials as they stand."""
    sizes = [cell.inner, cell.inner, cell.keys, cell.keys]
    gate, v, q, k = (x @ cell.input.weight.T).split(sizes, -1)
    logs = x @ cell.gates.weight.T + cell.gates.bias
    i, f = (15 * torch.tanh(logs / 15)).chunk(2, -1)
    i, f = i.exp(), f.exp() if cell.forget == "exp" else f.sigmoid()
    outputs = []
    for head in range(cell.num_heads):
        C = torch.zeros(cell.head_size, cell.key_size, dtype=x.dtype)
        n, rows = torch.zeros(cell.key_size, dtype=x.dtype), []
        at, of = (slice(head * size, (head + 1) * size) for size in (cell.key_size, cell.head_size))
        for t in range(len(x)):
            key = k[t, at] / cell.key_size**0.5
            C = f[t, head] * C + i[t, head] * torch.outer(v[t, of], key)
            n = f[t, head] * n + i[t, head] * key
            h = C @ q[t, at] / (n @ q[t, at]).abs().clamp(min=1)
            h = h - h.mean()
            rows.append(cell.norm_weight[head] * h / (h.square().mean() + 1e-6).sqrt())
        outputs.append(torch.stack(rows))
    return (gate.sigmoid() * torch.cat(outputs, -1)) @ cell.output.weight.T


@pytest.mark.parametrize("forget", ["sigmoid", "exp"])
def test_equals_the_equations(forget: Any) -> None:
    """Up to the ε of the denominator, which the norm after it all but takes out."""
    torch.manual_seed(0)
    cell = shaken(MLSTM(3, 8, num_heads=2, forget=forget)).double()
    x = torch.randn(1, 20, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[0][0], one_row(cell, x[0]), atol=1e-5, rtol=1e-5)


def test_extreme_inputs_stay_finite() -> None:
    torch.manual_seed(0)
    cell = shaken(MLSTM(3, 8), 3.0)
    y, state = cell(1e4 * torch.randn(2, 300, 3))
    assert y.isfinite().all()
    assert all(part.isfinite().all() for part in state)


def test_state_size() -> None:
    state = MLSTM(3, 16, num_heads=2).initial_state(5)
    assert [tuple(part.shape) for part in state] == [(5, 2, 8, 4), (5, 2, 4), (5, 2)]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_heads": 0}, "num_heads: got 0, want 1 or more."),
        ({"key_fraction": 0.0}, "key_fraction: got 0, want a number above 0."),
        ({"forget": "sigmid"}, "forget: no such forget 'sigmid'. Did you mean 'sigmoid'?"),
    ],
)
def test_refuses(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MLSTM(3, 4, **options)
    assert str(caught.value) == text
