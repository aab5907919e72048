"""The feed-forward layer: torch's own layers in a row, and in the transformer's pattern the law holds."""

from __future__ import annotations

import torch
from torch import nn

from statewise.cells.mlp import MLP
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.testing import check_recurrence


def test_it_is_two_linear_maps_around_a_gelu() -> None:
    torch.manual_seed(0)
    cell = MLP(3, 5, expand=2).double()
    same = nn.Sequential(cell.widen, nn.GELU(), cell.narrow)
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(x)[0], same(x), atol=1e-12, rtol=0)


def test_a_transformer_by_pattern_keeps_the_law() -> None:
    config = BackboneConfig(cell="attention mlp", hidden_size=8, num_layers=4, options={"num_heads": 2})
    check_recurrence(lambda: Backbone(3, config), 3)
