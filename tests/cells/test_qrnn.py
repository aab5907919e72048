"""QRNN against a masked convolution and the pooling of the paper; zoneout."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from statewise.cells.qrnn import QRNN, QRNNState


@pytest.mark.parametrize("window", [1, 2, 4])
def test_is_a_convolution_and_a_pooling(window: int) -> None:
    torch.manual_seed(0)
    cell = QRNN(3, 5, window=window).double()
    x, c = torch.randn(2, 9, 3).double(), torch.randn(2, 5).double()
    state = QRNNState(c, torch.zeros(2, window - 1, 3).double(), torch.zeros(2, 0))
    kernel = cell.input_weight.view(15, window, 3).transpose(1, 2)  # equation 1: masked, width k
    padded = functional.pad(x.transpose(1, 2), (window - 1, 0))
    z, f, o = functional.conv1d(padded, kernel, cell.bias).transpose(1, 2).chunk(3, dim=-1)
    z, f, o = z.tanh(), f.sigmoid(), o.sigmoid()
    rows = []
    for t in range(9):
        c = f[:, t] * c + (1 - f[:, t]) * z[:, t]
        rows.append(o[:, t] * c)
    y, after = cell(x, state)
    torch.testing.assert_close(y, torch.stack(rows, 1), atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(after.cell, c, atol=1e-12, rtol=1e-12)
    assert torch.equal(after.inputs, x[:, 9 - (window - 1) :])


def test_zoneout_keeps_that_share_of_units() -> None:
    torch.manual_seed(0)
    cell = QRNN(2, 400, window=1, zoneout=0.3)
    x = torch.randn(1, 50, 2)
    state = cell.initial_state(1)._replace(cell=torch.full((1, 400), 5.0))
    _, after = cell.step(x[:, 0], state)
    assert (after.cell == 5.0).float().mean().item() == pytest.approx(0.3, abs=0.07)
    cell.eval()
    plain = QRNN(2, 400, window=1)
    plain.load_state_dict(cell.state_dict())
    moved = cell.step(x[:, 0], state)[1].cell - 5.0
    torch.testing.assert_close(moved, 0.7 * (plain.step(x[:, 0], state)[1].cell - 5.0))


def test_zoneout_draws_at_every_step_and_for_every_sequence() -> None:
    torch.manual_seed(0)
    cell = QRNN(2, 400, window=1, zoneout=0.5)
    state, x = cell.initial_state(1), torch.ones(1, 2, 2)
    whole, _ = cell(x, state)
    assert torch.equal(whole, cell(x, state)[0])
    assert not torch.equal(whole, cell(x, cell.initial_state(1))[0])
    stayed = [step == 0 for step in whole[0]]
    assert 0.2 < (stayed[0] & stayed[1]).float().mean() < 0.3  # half of a half
