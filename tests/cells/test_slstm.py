"""The sLSTM against the equations of the paper without stabiliser, and under the law."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from shaken import shaken
from torch import Tensor

from statewise.cells.slstm import SLSTM
from statewise.core.errors import ConfigError
from statewise.testing import check_recurrence


@pytest.mark.parametrize("options", [{}, {"num_heads": 2}, {"num_heads": 6}, {"forget": "exp"}])
def test_keeps_the_law(options: dict[str, Any]) -> None:
    check_recurrence(lambda: shaken(SLSTM(3, 6, **options)), 3)


def one_row(cell: SLSTM, x: Tensor) -> Tensor:
    """Equations 8 to 14 for one row: plain exponentials, the recurrent matrix written out in full."""
    size, heads = cell.hidden_size, cell.num_heads
    per_gate = cell.recurrent_weight.unflatten(1, (4, -1))  # [heads, 4, size / heads, size / heads]
    full = torch.cat([torch.block_diag(*per_gate[:, gate]) for gate in range(4)])
    h = c = n = torch.zeros(size, dtype=x.dtype)
    rows = []
    for x_t in x:
        total = cell.input_weight @ x_t + full @ h + cell.bias
        i, f, z, o = total.view(4, size)
        f = f.exp() if cell.forget == "exp" else f.sigmoid()
        c, n = f * c + i.exp() * z.tanh(), f * n + i.exp()
        h = o.sigmoid() * c / n
        rows.append(h)
    assert full.count_nonzero() == 4 * size * size // heads
    return torch.stack(rows)


@pytest.mark.parametrize("forget", ["sigmoid", "exp"])
@pytest.mark.parametrize("heads", [1, 3])
def test_equals_the_equations(heads: int, forget: Any) -> None:
    torch.manual_seed(0)
    cell = shaken(SLSTM(4, 6, num_heads=heads, forget=forget)).double()
    x = torch.randn(1, 25, 4, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[0][0], one_row(cell, x[0]), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("size", [1e3, 1e6])
def test_extreme_inputs_stay_finite(size: float) -> None:
    """Input gates far beyond the range of exp, from the first step on; gradients too."""
    torch.manual_seed(0)
    cell = shaken(SLSTM(3, 8))
    x = (size * torch.randn(2, 50, 3)).requires_grad_()
    y, state = cell(x)
    assert y.abs().max() <= 1.0
    assert all(part.isfinite().all() for part in state)
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(y.sum(), [x, *cell.parameters()]))


def test_one_step_can_outweigh_all_before() -> None:
    """What a sigmoid gate cannot do: an input gate of e^20 replaces a memory of a hundred steps."""
    cell = SLSTM(2, 1)
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.input_weight[0, 1] = 20.0  # input gate by the second feature
        cell.input_weight[2, 0] = 1.0  # value by the first
        cell.bias[1] = cell.bias[3] = 30.0  # keep everything, show everything
    x = torch.zeros(1, 101, 2)
    x[0, :100, 0], x[0, 100] = 1.0, torch.tensor([-2.0, 1.0])
    y, _ = cell(x)
    torch.testing.assert_close(y[0, 99:, 0], torch.tensor([1.0, -2.0]).tanh(), atol=1e-5, rtol=0.0)


def test_forget_gates_start_open() -> None:
    bias = SLSTM(3, 4, num_heads=2).bias.tolist()
    assert bias == [0, 0, 0, 0, 3, 6, 3, 6, 0, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_heads": 0}, "num_heads: got 0, want 1 or more."),
        ({"num_heads": 3}, "num_heads: got 3, want a divisor of hidden_size 4."),
        ({"forget": "sigmid"}, "forget: no such forget 'sigmid'. Did you mean 'sigmoid'?"),
    ],
)
def test_refuses(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SLSTM(3, 4, **options)
    assert str(caught.value) == text
