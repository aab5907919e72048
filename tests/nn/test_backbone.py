"""Backbone, block and bidirectional encoder: against torch.nn, by property, and what they refuse."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from torch import nn

from statewise.cells.gru import GRU
from statewise.cells.lstm import LSTM
from statewise.cells.mamba import Mamba
from statewise.cells.qrnn import QRNN
from statewise.cells.s5 import S5
from statewise.core.config import from_mapping, to_mapping
from statewise.core.errors import ConfigError, ShapeError
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.block import Block


def test_bare_stack_is_a_torch_lstm() -> None:
    torch.manual_seed(0)
    theirs = nn.LSTM(3, 5, num_layers=3, batch_first=True).double()
    ours = Backbone(3, BackboneConfig("lstm", hidden_size=5, num_layers=3, residual=False)).double()
    with torch.no_grad():
        for layer, block in enumerate(ours.blocks):
            cell: Any = block.mixer
            cell.input_weight.copy_(getattr(theirs, f"weight_ih_l{layer}"))
            cell.recurrent_weight.copy_(getattr(theirs, f"weight_hh_l{layer}"))
            cell.bias.copy_(getattr(theirs, f"bias_ih_l{layer}") + getattr(theirs, f"bias_hh_l{layer}"))
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    want, (h, c) = theirs(x)
    y, state = ours(x)
    torch.testing.assert_close(y, want, atol=1e-12, rtol=0.0, check_stride=False)
    torch.testing.assert_close(torch.stack([s.hidden for s in state]), h, atol=1e-12, rtol=0.0)
    torch.testing.assert_close(torch.stack([s.cell for s in state]), c, atol=1e-12, rtol=0.0)


def test_pattern_repeats_over_the_layers() -> None:
    config = BackboneConfig("lstm gru", hidden_size=4, num_layers=3)
    assert config.layers() == ("lstm", "gru", "lstm")
    kinds = [type(block.mixer) for block in Backbone(3, config).blocks]
    assert kinds == [LSTM, GRU, LSTM]


def test_block_is_skip_plus_mixer_of_norm() -> None:
    torch.manual_seed(0)
    block = Block(GRU(4, 4), 4, 4)
    x = torch.randn(2, 6, 4)
    want = x + block.mixer(nn.functional.layer_norm(x, (4,)))[0]
    torch.testing.assert_close(block(x)[0], want)


def test_block_of_two_sizes_maps_the_way_around() -> None:
    block = Block(GRU(3, 4), 3, 4, norm=False)
    assert block.around is not None
    x = torch.randn(2, 6, 3)
    torch.testing.assert_close(block(x)[0], block.around(x) + block.mixer(x)[0])


def test_first_block_sees_absolute_levels() -> None:
    """A norm over one raw feature would make every level look alike."""
    torch.manual_seed(0)
    backbone = Backbone(1, BackboneConfig(num_layers=2, hidden_size=8)).eval()
    low, high = (backbone(torch.full((1, 5, 1), level))[0] for level in (1.0, 2.0))
    assert (low - high).abs().max() > 1e-2


def test_dropout_only_in_training() -> None:
    backbone = Backbone(3, BackboneConfig(hidden_size=8, num_layers=2, dropout=0.5))
    x = torch.randn(2, 5, 3)
    assert not torch.equal(backbone(x)[0], backbone(x)[0])
    backbone.eval()
    assert torch.equal(backbone(x)[0], backbone(x)[0])


def test_dropout_drops_the_share_it_names() -> None:
    torch.manual_seed(0)
    block = Block(GRU(3, 400), 3, 400, dropout=0.25, norm=False, skip=False)
    assert (block(torch.randn(1, 50, 3))[0] == 0).double().mean().item() == pytest.approx(0.25, abs=0.02)


def test_a_copy_is_independent() -> None:
    backbone = Backbone(3, BackboneConfig(hidden_size=4, num_layers=2))
    other = copy.deepcopy(backbone)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    x = torch.randn(1, 2, 3)
    assert (other(x)[0] == 0).all()
    assert (backbone(x)[0] != 0).any()
    assert (other.step(x[:, 0], other.initial_state(1))[0] == 0).all()


def test_weights_round_trip() -> None:
    config = BackboneConfig("lstm gru", hidden_size=4, num_layers=2, layer_norm=True, initial="learned")
    one, two = Backbone(3, config), Backbone(3, config)
    two.load_state_dict(one.state_dict())
    x = torch.randn(2, 5, 3)
    assert torch.equal(one(x)[0], two(x)[0])


def test_options_reach_the_cells_that_know_them() -> None:
    options = {"state_size": 6, "window": 3}
    config = BackboneConfig("mamba qrnn s5", hidden_size=4, num_layers=4, options=options)
    mixers: list[Any] = [block.mixer for block in Backbone(3, config).blocks]
    assert [type(mixer) for mixer in mixers] == [Mamba, QRNN, S5, Mamba]
    assert mixers[0].state_size == mixers[3].state_size == 2 * mixers[2].pairs == 6
    assert mixers[1].window == 3
    assert config.cell_options("qrnn") == {"window": 3}


def test_shared_settings_reach_only_cells_that_have_them() -> None:
    config = BackboneConfig("mingru gru", num_layers=2, initial="learned")
    assert config.cell_options("mingru") == {"initial": "learned"}
    with pytest.raises(ConfigError) as caught:
        BackboneConfig("gru mingru", num_layers=2, recurrent_dropout=0.1)
    assert str(caught.value) == "recurrent_dropout: the cell 'mingru' has no such option."


def test_config_round_trips_through_plain_values() -> None:
    config = BackboneConfig("mamba gru", num_layers=2, layer_norm=False, options={"state_size": 6})
    plain = json.loads(json.dumps(to_mapping(config)))
    assert plain["options"] == {"state_size": 6}
    again = from_mapping(BackboneConfig, plain, "backbone")
    assert again == config
    assert hash(again) == hash(config)
    before_options = {name: value for name, value in plain.items() if name != "options"}
    assert from_mapping(BackboneConfig, before_options, "backbone").options == {}


def test_options_are_not_shared_with_the_caller() -> None:
    options = {"state_size": 6}
    config = BackboneConfig("mamba", options=options)
    options["state_size"] = 7
    assert config.options == {"state_size": 6}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"cell": "grru"}, "cell: no such cell 'grru'. Did you mean 'gru'?"),
        ({"cell": "lstm gruu", "num_layers": 2}, "cell: no such cell 'gruu'. Did you mean 'gru'?"),
        ({"cell": " "}, "cell: got an empty pattern, want one or more names, such as 'lstm gru'."),
        ({"hidden_size": 0}, "hidden_size: got 0, want 1 or more."),
        ({"num_layers": -1}, "num_layers: got -1, want 1 or more."),
        ({"dropout": 1.5}, "dropout: got 1.5, want 0 ≤ rate < 1."),
        ({"recurrent_dropout": -0.1}, "recurrent_dropout: got -0.1, want 0 ≤ rate < 1."),
        (
            {"options": {"reset_befor": True}},
            "options: no option 'reset_befor' of 'gru'. Did you mean 'reset_after'?",
        ),
        (
            {"cell": "mamba lru", "num_layers": 2, "options": {"stat_size": 1}},
            "options: no option 'stat_size' of 'mamba' and 'lru'. Did you mean 'state_size'?",
        ),
        (
            {"cell": "mamba", "options": {"state_size": "many"}},
            "options.state_size: got 'many', want a whole number.",
        ),
        (
            {"options": {"layer_norm": True}},
            "options: 'layer_norm' is a setting of the backbone itself: give it there.",
        ),
        (
            {"cell": "lstm", "hidden_size": 8, "options": {"projection_size": 4}},
            "options.projection_size: got 4, want hidden_size, 8: all layers are as wide.",
        ),
        ({"cell": "s5", "layer_norm": True}, "layer_norm: the cell 's5' has no such option."),
    ],
)
def test_config_errors(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        BackboneConfig(**fields)
    assert str(caught.value) == text


def test_pattern_longer_than_the_stack() -> None:
    with pytest.raises(ConfigError) as caught:
        BackboneConfig("lstm gru", num_layers=1)
    assert str(caught.value) == "cell: the pattern 'lstm gru' names 2 cells, but num_layers is 1."


def test_input_of_the_wrong_size() -> None:
    with pytest.raises(ShapeError) as caught:
        Backbone(3, BackboneConfig())(torch.randn(1, 2, 4))
    assert str(caught.value) == "backbone: got x of shape [1, 2, 4], want [B, T, 3]."
