"""The encoder form of every cell: honest about lengths, and it reads the future."""

from __future__ import annotations

import pytest
import torch

from statewise.cells.table import CELLS
from statewise.core.errors import ConfigError
from statewise.nn.backbone import BackboneConfig
from statewise.nn.encoder import BidirectionalBackbone
from statewise.recurrence import Recurrence


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_encodes_from_both_ends(cell: str) -> None:
    torch.manual_seed(0)
    config = BackboneConfig(cell=cell, hidden_size=16, num_layers=2)
    encoder = BidirectionalBackbone(5, config).double().eval()
    x = torch.randn(3, 9, 5, dtype=torch.float64)
    lengths = torch.tensor([9, 4, 0])
    for row, length in enumerate(lengths.tolist()):
        x[row, length:] = float("nan")
    y = encoder(x, lengths)
    assert y.shape == (3, 9, 16)
    assert not y[1, 4:].any()
    assert not y[2].any()
    torch.testing.assert_close(y[1, :4], encoder(x[1:2, :4])[0], atol=1e-9, rtol=0)
    if cell == "mlp":  # has no memory to carry anything from the last step to the first
        return
    changed = x.clone()
    changed[0, 8] += 1.0
    assert (encoder(changed, lengths)[0, 0] - y[0, 0]).abs().max() > 1e-12  # the last step reaches the first


@pytest.mark.parametrize("residual", [True, False])
def test_gradients_reach_every_weight(residual: bool) -> None:
    torch.manual_seed(1)
    config = BackboneConfig(cell="lstm gru", hidden_size=6, num_layers=3, residual=residual, dropout=0.1)
    encoder = BidirectionalBackbone(4, config)
    encoder(torch.randn(2, 5, 4)).square().sum().backward()
    assert all(weight.grad is not None for weight in encoder.parameters())


def test_it_cannot_stream() -> None:
    assert not isinstance(BidirectionalBackbone(2, BackboneConfig(hidden_size=4)), Recurrence)


def test_an_odd_size_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        BidirectionalBackbone(2, BackboneConfig(hidden_size=5))
    assert str(error.value) == "hidden_size: got 5, want an even number: each direction has half of it."
