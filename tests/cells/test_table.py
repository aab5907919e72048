"""The one law for every cell of the table, with every option, in both modes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from statewise import state as states
from statewise.cells.gru import GRU
from statewise.cells.rnn import RNN
from statewise.cells.table import CELLS
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.recurrence import Recurrence
from statewise.testing import check_recurrence

OPTIONS: list[dict[str, Any]] = [
    {},
    {"layer_norm": True},
    {"recurrent_dropout": 0.5},
    {"layer_norm": True, "recurrent_dropout": 0.3, "initial": "learned"},
    {"initial": "random"},
]


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_keeps_the_law(cell: str, options: dict[str, Any], training: bool) -> None:
    check_recurrence(lambda: CELLS[cell](3, 4, **options).train(training), 3)


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"recurrent_dropout": 0.5}], ids=str)
def test_gru_with_the_reset_before(options: dict[str, Any]) -> None:
    check_recurrence(lambda: GRU(3, 4, reset_after=False, **options), 3)


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"recurrent_dropout": 0.5}], ids=str)
def test_rnn_with_relu(options: dict[str, Any]) -> None:
    check_recurrence(lambda: RNN(3, 4, nonlinearity="relu", **options), 3)


BACKBONES = [
    *(BackboneConfig(cell, hidden_size=4, num_layers=2) for cell in CELLS),
    BackboneConfig("lstm gru", hidden_size=4, num_layers=3, recurrent_dropout=0.3, initial="learned"),
    BackboneConfig("rnn lstm", hidden_size=4, num_layers=2, layer_norm=True, residual=False),
    BackboneConfig("gru", hidden_size=3),
]


@pytest.mark.parametrize("config", BACKBONES, ids=str)
def test_every_backbone_keeps_the_law(config: BackboneConfig) -> None:
    check_recurrence(lambda: Backbone(3, config), 3)


def test_backbone_with_dropout_keeps_the_law_in_evaluation() -> None:
    config = BackboneConfig("gru", hidden_size=4, num_layers=2, dropout=0.5)
    check_recurrence(lambda: Backbone(3, config).eval(), 3)


@pytest.mark.parametrize("cell", CELLS)
def test_float32_fused_form_agrees_with_steps(cell: str) -> None:
    """Single precision runs other kernels than the float64 of the law (oneDNN for the LSTM)."""
    torch.manual_seed(0)
    module: Recurrence = CELLS[cell](5, 16)
    x, lengths = torch.randn(4, 50, 5), torch.tensor([50, 0, 7, 31])
    state = module.initial_state(4)
    whole, final = module(x)
    steps = []
    for x_t in x.unbind(1):
        y, state = module.step(x_t, state)
        steps.append(y)
    torch.testing.assert_close(whole, torch.stack(steps, 1), atol=2e-6, rtol=0.0)
    torch.testing.assert_close(final, state, atol=2e-6, rtol=0.0)
    _, final = module(x, None, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = module(x[row : row + 1, :length])[1]
        torch.testing.assert_close(
            states.take(final, torch.tensor([row])), alone, atol=2e-6, rtol=0.0, check_stride=False
        )


@pytest.mark.parametrize("cell", CELLS)
def test_float32_fused_gradient_agrees_with_steps(cell: str) -> None:
    torch.manual_seed(0)
    module: Recurrence = CELLS[cell](5, 16)
    x, weights = torch.randn(4, 30, 5), torch.randn(4, 30, 16)

    def gradients(outputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad((outputs * weights).sum(), list(module.parameters()))

    state, steps = module.initial_state(4), []
    for x_t in x.unbind(1):
        y, state = module.step(x_t, state)
        steps.append(y)
    torch.testing.assert_close(
        gradients(module(x)[0]), gradients(torch.stack(steps, 1)), atol=1e-4, rtol=1e-4
    )
