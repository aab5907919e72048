"""minGRU and minLSTM against the log-space form that the paper trains, and by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from statewise.cells.mingru import MinGRU, MinGRUState
from statewise.cells.minlstm import MinLSTM, MinLSTMState

B, T, X, H = 2, 30, 3, 5


def log_g(x: Tensor) -> Tensor:
    return torch.where(x >= 0, (functional.relu(x) + 0.5).log(), -functional.softplus(-x))


def parallel_scan_log(log_coefficients: Tensor, log_values: Tensor) -> Tensor:
    """Appendix B of the paper, after Heinsen 2023: h_t from log a_t [B, T, H] and log b_t [B, T + 1, H]."""
    a_star = functional.pad(log_coefficients.cumsum(1), (0, 0, 1, 0))
    return (a_star + (log_values - a_star).logcumsumexp(1)).exp()[:, 1:]


def paper_gru(cell: MinGRU, x: Tensor, start: Tensor) -> Tensor:
    weight_z, weight_h = cell.input_weight.chunk(2)
    bias_z, bias_h = cell.bias.chunk(2)
    k, tilde = x @ weight_z.T + bias_z, x @ weight_h.T + bias_h
    log_z, log_keep = -functional.softplus(-k), -functional.softplus(k)
    return parallel_scan_log(log_keep, torch.cat((log_g(start)[:, None], log_z + log_g(tilde)), dim=1))


def paper_lstm(cell: MinLSTM, x: Tensor, start: Tensor) -> Tensor:
    f, i, tilde = (x @ w.T + b for w, b in zip(cell.input_weight.chunk(3), cell.bias.chunk(3), strict=True))
    diff = functional.softplus(-f) - functional.softplus(-i)
    log_f, log_i = -functional.softplus(diff), -functional.softplus(-diff)
    return parallel_scan_log(log_f, torch.cat((log_g(start)[:, None], log_i + log_g(tilde)), dim=1))


@pytest.mark.parametrize(("make", "paper"), [(MinGRU, paper_gru), (MinLSTM, paper_lstm)])
def test_positive_is_the_log_space_form(make: Any, paper: Any) -> None:
    torch.manual_seed(0)
    cell = make(X, H, positive=True, initial="learned").double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_()
    start: Any = next(p for name, p in cell.named_parameters() if name.startswith("initial"))
    x = torch.randn(B, T, X).double()
    got, want = cell(x)[0], paper(cell, x, start.expand(B, H))
    torch.testing.assert_close(got, want, atol=1e-11, rtol=1e-9)
    assert (got > 0).all()
    parameters = list(cell.parameters())
    ours, theirs = (torch.autograd.grad(y.square().sum(), parameters) for y in (got, want))
    torch.testing.assert_close(ours, theirs, atol=1e-9, rtol=1e-8)


def test_positive_starts_at_g_of_zero() -> None:
    """The paper feeds log g(0) to the scan, and g(0) = ½."""
    assert (MinGRU(X, H, positive=True).initial_state(2).hidden == 0.5).all()
    assert (MinLSTM(X, H, positive=True).initial_state(2).hidden == 0.5).all()
    assert (MinGRU(X, H).initial_state(2).hidden == 0).all()


def test_mingru_by_hand() -> None:
    cell = MinGRU(1, 1)
    with torch.no_grad():
        cell.input_weight.copy_(torch.tensor([[0.0], [2.0]]))
        cell.bias.copy_(torch.tensor([math.log(3.0), 1.0]))  # z = ¾, v = 2 x + 1
    y, _ = cell(torch.tensor([[[1.0], [-1.0]]]), MinGRUState(torch.tensor([[8.0]])))
    torch.testing.assert_close(y.flatten(), torch.tensor([2 + 2.25, 4.25 / 4 - 0.75]))


def test_minlstm_by_hand() -> None:
    cell = MinLSTM(1, 1)
    with torch.no_grad():
        cell.input_weight.copy_(torch.tensor([[0.0], [0.0], [2.0]]))
        cell.bias.copy_(torch.tensor([0.0, math.log(1 / 3), 1.0]))  # f = ½, i = ¼: shares ⅔ and ⅓
    y, _ = cell(torch.tensor([[[1.0], [-1.0]]]), MinLSTMState(torch.tensor([[9.0]])))
    torch.testing.assert_close(y.flatten(), torch.tensor([7.0, 14 / 3 - 1 / 3]))


def test_gates_that_vanish_still_share() -> None:
    """Both gates near zero: the quotient of the equations would be 0 / 0 in single precision."""
    cell = MinLSTM(1, 1)
    with torch.no_grad():
        cell.input_weight.zero_()
        cell.bias.copy_(torch.tensor([-200.0, -200.0, 4.0]))
    state = MinLSTMState(torch.tensor([[2.0]]))
    assert cell.step(torch.zeros(1, 1), state)[0].item() == pytest.approx(3.0)
    assert cell(torch.zeros(1, 1, 1), state)[0].item() == pytest.approx(3.0)
