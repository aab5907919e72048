"""The one law for every cell of the table, with every option, in both modes; and what the table says."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from statewise import state as states
from statewise.cells.table import CELLS
from statewise.core.errors import ConfigError, ShapeError
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.ops.linear_scan import linear_scan_reference
from statewise.recurrence import Recurrence
from statewise.testing import check_recurrence

SHARED: list[dict[str, Any]] = [
    {"layer_norm": True},
    {"recurrent_dropout": 0.5},
    {"layer_norm": True, "recurrent_dropout": 0.3, "zoneout": 0.3, "initial": "learned"},
    {"zoneout": 0.5},
    {"initial": "random"},
]
# Small sizes for the law; every option of every cell has to appear (a test below holds that).
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "rnn": [*SHARED, {"nonlinearity": "relu"}, {"nonlinearity": "relu", "layer_norm": True}],
    "lstm": [
        *SHARED,
        {"zoneout_cell": 0.5},
        {"peephole": True, "layer_norm": True},
        {"coupled_gates": True, "projection_size": 2, "recurrent_dropout": 0.3},
    ],
    "gru": [*SHARED, {"reset_after": False}, {"reset_after": False, "layer_norm": True}],
    "indrnn": [
        {"nonlinearity": "tanh", "initial": "learned"},
        {"recurrent_min": 0.5, "recurrent_max": 0.7, "initial": "random"},
    ],
    "mingru": [{"positive": True, "initial": "learned"}, {"initial": "random"}],
    "minlstm": [{"positive": True, "initial": "learned"}, {"initial": "random"}],
    "qrnn": [{"window": 1, "initial": "learned"}, {"window": 3, "initial": "random"}, {"zoneout": 0.5}],
    "lru": [{"gated": False}, {"radius_min": 0.5, "radius_max": 0.9, "max_phase": 0.5}],
    "s5": [{"gated": False}, {"step_min": 0.1, "step_max": 0.5}],
    "mamba": [
        {"negative_eigenvalues": True, "conv_size": 1},
        {"expand": 1, "conv_size": 2, "step_min": 0.1, "step_max": 0.5},
    ],
    "rglru": [
        {"block": False, "num_heads": 2},
        {"negative_eigenvalues": True, "conv_size": 1, "expand": 1.0, "num_heads": 2},
    ],
    "mamba2": [{"num_heads": 2, "expand": 1, "conv_size": 1}],
    "mlstm": [{"num_heads": 2, "key_fraction": 1.0, "forget": "exp"}],
    "slstm": [{"num_heads": 2, "forget": "exp"}],
    "deltanet": [{"num_heads": 2, "negative_eigenvalues": True, "conv_size": 2}],
    "attention": [{"num_heads": 2, "window": 3}],
    "mlp": [{"expand": 2}],
    "lmu": [{"feedback": True, "channels": 2}, {"channels": 1}],
    "conv": [{"kernel_size": 2, "dilation": 3, "levels": 1}, {"kernel_size": 1}],
}
SMALL: dict[str, dict[str, Any]] = {
    "lru": {"state_size": 3},
    "s5": {"state_size": 4},
    "mamba": {"state_size": 3},
    "mamba2": {"state_size": 3, "num_heads": 2},
    "mlstm": {"num_heads": 1},  # a layer norm over the two features of a quarter would be little but a sign
    "lmu": {"state_size": 5, "theta": 6.0},
    "conv": {"levels": 2},
}
DRAWS = {"recurrent_dropout", "zoneout", "zoneout_cell", "initial"}
CASES = [(cell, {**SMALL.get(cell, {}), **more}) for cell in CELLS for more in [{}, *OPTIONS[cell]]]


def make(cell: str, input_size: int, hidden_size: int, **options: Any) -> Recurrence:
    return CELLS[cell].make(input_size, hidden_size, **{**SMALL.get(cell, {}), **options})


@pytest.mark.parametrize(("cell", "options"), CASES, ids=str)
def test_every_cell_keeps_the_law(cell: str, options: dict[str, Any]) -> None:
    check_recurrence(lambda: CELLS[cell].make(3, 4, **options), 3)


@pytest.mark.parametrize(("cell", "options"), [case for case in CASES if DRAWS & set(case[1])], ids=str)
def test_every_cell_that_draws_keeps_the_law_in_evaluation(cell: str, options: dict[str, Any]) -> None:
    check_recurrence(lambda: CELLS[cell].make(3, 4, **options).eval(), 3)


@pytest.mark.parametrize("cell", CELLS)
def test_the_law_has_seen_every_option(cell: str) -> None:
    tried = {name for case, options in CASES if case == cell for name in options}
    assert tried >= set(CELLS[cell].options)


@pytest.mark.parametrize("cell", CELLS)
def test_the_state_is_as_large_as_the_table_says(cell: str) -> None:
    module = CELLS[cell].make(6, 48)
    state = module(torch.randn(2, 40, 6))[1]
    want = formula(CELLS[cell].state_size, cell, I=6, H=48, steps=40)
    assert sum(leaf[0].numel() for leaf in states.tensors(state)) == want


@pytest.mark.parametrize("cell", CELLS)
def test_a_step_costs_what_the_table_says(cell: str) -> None:
    """Multiply-adds of the matrix products, counted by torch; the elementwise part makes up the rest."""
    from torch.utils.flop_counter import FlopCounterMode

    module = CELLS[cell].make(32, 64).eval()
    state = module(torch.randn(1, 9, 32))[1]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.step(torch.randn(1, 32), state)
    share = counter.get_total_flops() / 2 / formula(CELLS[cell].step_cost, cell, I=32, H=64, steps=10)
    assert 0.4 < share <= 1.0


def formula(text: str, cell: str, **sizes: int) -> float:
    """The value of a formula of the table: "expand·H·(state_size + 3)"."""
    options = {name: one.default for name, one in CELLS[cell].options.items()}
    plain = text.replace("·", "*").replace("²", "**2").replace("^", "**")
    assert re.fullmatch(r"[\w\s*+/()-]+", plain), text
    value: float = eval(plain, {"__builtins__": {}}, {**options, **sizes})
    return value


@pytest.mark.parametrize("cell", CELLS)
def test_every_entry_is_filled_in(cell: str) -> None:
    entry = CELLS[cell]
    assert str(entry.year) in entry.source
    assert entry.form in ("loop", "scan", "chunks", "window", "attention")
    assert entry.good_for
    assert not entry.good_for.endswith(".")


@pytest.mark.parametrize("cell", CELLS)
def test_float32_form_agrees_with_steps(cell: str) -> None:
    """Single precision runs other kernels than the float64 of the law."""
    torch.manual_seed(0)
    module = CELLS[cell].make(5, 16)
    x, lengths = torch.randn(4, 50, 5), torch.tensor([50, 0, 7, 31])
    state = module.initial_state(4)
    whole, final = module(x)
    steps = []
    for x_t in x.unbind(1):
        y, state = module.step(x_t, state)
        steps.append(y)
    close = {"atol": 5e-6, "rtol": 1e-5, "check_stride": False}
    torch.testing.assert_close(whole, torch.stack(steps, 1), **close)
    torch.testing.assert_close(states.tensors(final), states.tensors(state), **close)
    _, final = module(x, None, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = module(x[row : row + 1, :length])[1]
        mine, alone = states.align(states.take(final, torch.tensor([row])), alone)
        torch.testing.assert_close(states.tensors(mine), states.tensors(alone), **close)


@pytest.mark.parametrize("cell", CELLS)
def test_float32_gradient_agrees_with_steps(cell: str) -> None:
    torch.manual_seed(0)
    module = CELLS[cell].make(5, 16)
    x, weights = torch.randn(4, 30, 5), torch.randn(4, 30, 16)
    parameters = list(module.parameters())

    def gradients(outputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return torch.autograd.grad((outputs * weights).sum(), parameters)

    state, steps = module.initial_state(4), []
    for x_t in x.unbind(1):
        y, state = module.step(x_t, state)
        steps.append(y)
    for got, want in zip(gradients(module(x)[0]), gradients(torch.stack(steps, 1)), strict=True):
        torch.testing.assert_close(got, want, atol=1e-5 * (10 + float(want.abs().max())), rtol=1e-4)


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_learns_to_remember(cell: str) -> None:
    """A few steps of Adam towards a running mean of what was before; a layer without a memory fails."""
    torch.manual_seed(0)
    module, head = make(cell, 2, 16), torch.nn.Linear(16, 2)
    optimizer = torch.optim.Adam([*module.parameters(), *head.parameters()], lr=0.05)
    losses = []
    for _ in range(40):
        x = torch.randn(16, 12, 2)
        want = linear_scan_reference(torch.full_like(x, 0.5), x, torch.zeros(16, 2)) - x
        loss = (head(module(x)[0]) - want).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert (sum(losses[-5:]) / 5 < 0.9 * losses[0]) is (cell != "mlp")


@pytest.mark.parametrize("cell", CELLS)
def test_memory_stays_in_full_precision_under_autocast(cell: str) -> None:
    torch.manual_seed(0)
    module = make(cell, 3, 8)
    x, state, lengths = torch.randn(2, 5, 3), module.initial_state(2), torch.tensor([5, 2])
    want = module(x, state)[0].detach()
    with torch.autocast("cpu", torch.bfloat16):
        results = [module(x, state), module(x, state, lengths), module.step(x[:, 0], state)]
        torch.stack([y.sum() for y, _ in results]).sum().backward()
    kept = {leaf.dtype for _, after in results for leaf in states.tensors(after) if leaf.is_floating_point()}
    assert kept == {torch.float32}
    assert (results[0][0].detach() - want).abs().max() < 0.1 * max(1.0, float(want.abs().max()))


@pytest.mark.parametrize("cell", CELLS)
def test_empty_sequences_and_batches(cell: str) -> None:
    module = make(cell, 3, 8)
    state = module.initial_state(2)
    y, after = module(torch.randn(2, 0, 3), state)
    assert y.shape == (2, 0, 8)
    pairs = zip(states.tensors(after), states.tensors(state), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert module(torch.randn(0, 4, 3))[0].shape == (0, 4, 8)
    assert module.step(torch.randn(0, 3), module.initial_state(0))[0].shape == (0, 8)


@pytest.mark.parametrize("cell", CELLS)
def test_shapes_are_checked(cell: str) -> None:
    module = make(cell, 3, 8)
    with pytest.raises(ShapeError) as caught:
        module(torch.randn(2, 4, 5))
    assert str(caught.value) == f"{cell}: got x of shape [2, 4, 5], want [B, T, 3]."
    with pytest.raises(ShapeError) as caught:
        module(torch.randn(2, 4, 3), None, torch.tensor([1, 5]))
    assert str(caught.value) == f"{cell}: got a length of 5, want 0 to 4, the steps of x."


@pytest.mark.parametrize(
    ("cell", "options", "text"),
    [
        (
            "indrnn",
            {"nonlinearity": "rely"},
            "nonlinearity: no such nonlinearity 'rely'. Did you mean 'relu'?",
        ),
        ("indrnn", {"recurrent_max": 0.0}, "recurrent_max: got 0, want a number above 0."),
        ("indrnn", {"recurrent_min": 1.5}, "recurrent_min: got 1.5, want 0 to 1."),
        ("mingru", {"initial": "zeros"}, "initial: no such start 'zeros'. Did you mean 'zero'?"),
        ("qrnn", {"window": 0}, "window: got 0, want 1 or more."),
        ("qrnn", {"zoneout": 1.0}, "zoneout: got 1.0, want 0 ≤ rate < 1."),
        ("lru", {"state_size": 0}, "state_size: got 0, want 1 or more."),
        ("lru", {"radius_min": 0.9, "radius_max": 0.5}, "radius_min: got 0.9, want 0 to 0.5."),
        ("lru", {"radius_max": 0.0}, "radius_min: got 0 to 0, want a ring inside 0 to 1."),
        ("lru", {"max_phase": 7.0}, "max_phase: got 7, want 1e-06 to 6.28319."),
        ("s5", {"state_size": 7}, "state_size: got 7, want an even number (conjugate pairs)."),
        ("s5", {"step_min": 0.2}, "step_min: got 0.2, want 0 to 0.1."),
        ("mamba", {"step_min": 0.0}, "step_min: got 0, want a number above 0."),
        ("mamba", {"conv_size": 0}, "conv_size: got 0, want 1 or more."),
        ("mamba", {"expand": 0}, "expand: got 0, want 1 or more."),
        ("rglru", {"expand": -1.0}, "expand: got -1, want a number above 0."),
        (
            "rglru",
            {"block": False, "num_heads": 3},
            "num_heads: got 3, want a divisor of hidden_size, 8.",
        ),
        ("lmu", {"theta": 0.0}, "theta: got 0, want a number above 0."),
        ("lmu", {"channels": 0}, "channels: got 0, want 1 or more."),
        ("conv", {"kernel_size": 0}, "kernel_size: got 0, want 1 or more."),
        ("conv", {"levels": 0}, "levels: got 0, want 1 or more."),
    ],
)
def test_options_out_of_range(cell: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CELLS[cell].make(3, 8, **options)
    assert str(caught.value) == text


BACKBONES = [
    *(
        BackboneConfig(cell, 4, 2, options=SMALL.get(cell, {}))
        for cell in ("rnn", "lru", "conv", "attention")
    ),
    BackboneConfig("lstm gru", hidden_size=4, num_layers=3, recurrent_dropout=0.3, initial="learned"),
    BackboneConfig("rnn lstm", hidden_size=4, num_layers=2, layer_norm=True, residual=False),
    BackboneConfig("mamba mamba lstm", hidden_size=4, num_layers=3, options={"state_size": 3}),
    BackboneConfig("gru", hidden_size=3),
]


@pytest.mark.parametrize("config", BACKBONES, ids=lambda config: config.cell)
def test_every_backbone_keeps_the_law(config: BackboneConfig) -> None:
    check_recurrence(lambda: Backbone(3, config), 3)


def test_backbone_with_dropout_keeps_the_law_in_evaluation() -> None:
    config = BackboneConfig("gru", hidden_size=4, num_layers=2, dropout=0.5)
    check_recurrence(lambda: Backbone(3, config).eval(), 3)
