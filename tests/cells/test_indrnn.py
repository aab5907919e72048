"""IndRNN against torch's RNN with a diagonal loop, and its bounded loop weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from statewise.cells.indrnn import IndRNN, IndRNNState


@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_is_a_network_whose_loop_is_diagonal(nonlinearity: str) -> None:
    torch.manual_seed(0)
    ours = IndRNN(3, 5, nonlinearity=nonlinearity).double()  # type: ignore[arg-type]
    theirs = nn.RNN(3, 5, nonlinearity=nonlinearity, batch_first=True).double()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.input_weight)
        theirs.weight_hh_l0.copy_(torch.diag(ours.recurrent_weight))
        theirs.bias_ih_l0.copy_(ours.bias.normal_())
        theirs.bias_hh_l0.zero_()
    x, h = torch.randn(2, 9, 3).double(), torch.rand(2, 5).double()
    y, state = ours(x, IndRNNState(h))
    want, last = theirs(x, h[None])
    torch.testing.assert_close((y, state.hidden), (want, last[0]), atol=1e-12, rtol=1e-12)


def test_by_hand() -> None:
    cell = IndRNN(1, 1)
    with torch.no_grad():
        cell.input_weight.fill_(2.0), cell.recurrent_weight.fill_(0.5), cell.bias.fill_(-1.0)
    y, _ = cell(torch.tensor([[[1.0], [0.0], [2.0]]]))
    assert y.flatten().tolist() == [1.0, 0.0, 3.0]  # relu(2 - 1), relu(0.5 - 1), relu(4 + 0 - 1)


def test_loop_weights_start_in_their_range_and_stay_bounded() -> None:
    torch.manual_seed(0)
    cell = IndRNN(1, 500, recurrent_min=0.5, recurrent_max=0.9)
    weight = cell.recurrent_weight.detach()
    assert 0.5 <= weight.min() < 0.52
    assert 0.88 < weight.max() <= 0.9
    with torch.no_grad():
        cell.recurrent_weight.fill_(3.0)
        cell.input_weight.zero_()
    y, _ = cell(torch.zeros(1, 20, 1), IndRNNState(torch.ones(1, 500)))
    torch.testing.assert_close(y[0, -1], torch.full((500,), 0.9**20))
