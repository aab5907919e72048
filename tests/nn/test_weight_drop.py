"""Recurrent weights that are missing for a chunk: with the kernels, with gradients, not in evaluation."""

from __future__ import annotations

import pytest
import torch

from statewise.core.errors import ConfigError
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.weight_drop import check_weight_drop, forward_dropped


def backbone(cell: str = "lstm") -> Backbone:
    torch.manual_seed(0)
    return Backbone(5, BackboneConfig(cell, 8, 2))


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "slstm"])
def test_it_is_the_plain_forward_with_masked_weights(cell: str) -> None:
    model, x = backbone(cell).train(), torch.randn(3, 6, 5)
    torch.manual_seed(7)
    made, _ = forward_dropped(model, 0.5, x, None)
    torch.manual_seed(7)
    masked = {
        name: torch.nn.functional.dropout(weight, 0.5)
        for name, weight in model.named_parameters()
        if name.endswith("recurrent_weight")
    }
    assert len(masked) == 2
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(masked.get(name, weight))
        want, _ = model(x)
    assert torch.allclose(made.detach(), want, atol=1e-6)


def test_gradients_reach_the_weights_that_were_kept() -> None:
    model = backbone().train()
    forward_dropped(model, 0.5, torch.randn(3, 6, 5), None)[0].sum().backward()
    for name, weight in model.named_parameters():
        if name.endswith("recurrent_weight"):
            share = float((weight.grad == 0).float().mean())
            assert 0.3 < share < 0.7
        else:
            assert weight.grad is not None


def test_evaluation_drops_nothing() -> None:
    model, x = backbone().eval(), torch.randn(3, 6, 5)
    with torch.no_grad():
        assert torch.equal(forward_dropped(model, 0.5, x, None)[0], model(x)[0])


def test_a_cell_without_recurrent_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^weight_drop: none of the cells has recurrent weights; set"):
        check_weight_drop(backbone("mingru"), 0.5)
    assert check_weight_drop(backbone("mingru"), 0.0) == 0.0
