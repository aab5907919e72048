"""What the options of a cell mean: first weights, first states, recurrent dropout, refusals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from statewise import state as states
from statewise.cells.gru import GRU
from statewise.cells.lstm import LSTM
from statewise.cells.rnn import RNN
from statewise.cells.start import NOISE
from statewise.core.errors import ConfigError, ShapeError
from statewise.ops.native import without_native

CELLS: dict[str, Any] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_weights_start_orthogonal(cell: str) -> None:
    weight = CELLS[cell](3, 8).recurrent_weight
    for block in weight.detach().double().split(8):
        torch.testing.assert_close(3 * block @ block.T, torch.eye(8).double(), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("cell", CELLS)
def test_input_weights_start_as_small_as_those_of_torch(cell: str) -> None:
    weight = CELLS[cell](50, 16).input_weight.detach()
    assert weight.abs().max().item() == pytest.approx(0.25, rel=0.01)
    assert weight.std().item() == pytest.approx(0.25 * 3**-0.5, rel=0.05)


def test_the_gate_that_keeps_starts_open() -> None:
    assert LSTM(3, 2).bias.tolist() == [0, 0, 1, 1, 0, 0, 0, 0]
    assert GRU(3, 2).input_bias.tolist() == [0, 0, 1, 1, 0, 0]
    assert RNN(3, 2).bias.tolist() == [0, 0]


@pytest.mark.parametrize("cell", CELLS)
def test_initial_states(cell: str) -> None:
    torch.manual_seed(0)
    zero = CELLS[cell](3, 50).initial_state(20)
    assert all((leaf == 0).all() for leaf in states.tensors(zero))
    random = CELLS[cell](3, 50, initial="random")
    hidden = random.initial_state(20).hidden
    assert hidden.std().item() == pytest.approx(NOISE, rel=0.1)
    assert (random.eval().initial_state(20).hidden == 0).all()
    learned = CELLS[cell](3, 50, initial="learned")
    learned(torch.randn(2, 4, 3))[0].sum().backward()
    for name, parameter in learned.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    with torch.no_grad():
        learned.initial_hidden.value.fill_(0.5)
    assert (learned.initial_state(3).hidden == 0.5).all()


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_dropout_acts_on_the_loop(cell: str) -> None:
    """With the whole of h dropped and a zero start, no step can see an earlier input through the gates."""
    torch.manual_seed(0)
    module = CELLS[cell](3, 200, recurrent_dropout=0.5)
    state = module.initial_state(4)
    assert sorted(state.keep.unique().tolist()) == [0.0, 2.0]
    assert state.keep.mean().item() == pytest.approx(1.0, abs=0.1)
    _, state = module(torch.randn(4, 3, 3), state)
    nothing = state._replace(keep=torch.zeros_like(state.keep))
    x = torch.randn(4, 3)
    other = nothing._replace(hidden=torch.randn_like(state.hidden))
    if cell == "gru":  # the old state still enters beside the gates, so take that part off
        z = _update_gate(module, x)
        a, b = (module.step(x, s)[0] - z * s.hidden for s in (nothing, other))
    else:
        a, b = module.step(x, nothing)[0], module.step(x, other)[0]
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0.0)
    seen = module.step(x, state._replace(hidden=other.hidden))[0]
    assert (seen - module.step(x, state)[0]).abs().max() > 1e-3


def _update_gate(module: Any, x: torch.Tensor) -> torch.Tensor:
    size = module.hidden_size
    total = x @ module.input_weight.T + module.input_bias + module.recurrent_bias
    return total[:, size : 2 * size].sigmoid()


@pytest.mark.parametrize("cell", CELLS)
def test_evaluation_ignores_the_mask(cell: str) -> None:
    module = CELLS[cell](3, 8, recurrent_dropout=0.5)
    trained = module.initial_state(2)
    module.eval()
    whole = module.initial_state(2)
    assert (whole.keep == 1).all()
    x = torch.randn(2, 5, 3)
    assert torch.equal(module(x, trained)[0], module(x, whole)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_empty_sequences_and_batches(cell: str) -> None:
    module = CELLS[cell](3, 8)
    state = module.initial_state(2)
    y, after = module(torch.randn(2, 0, 3), state)
    assert y.shape == (2, 0, 8)
    assert all(a is b for a, b in zip(after, state, strict=True))
    assert module(torch.randn(0, 4, 3))[0].shape == (0, 4, 8)
    assert module.step(torch.randn(0, 3), module.initial_state(0))[0].shape == (0, 8)


@pytest.mark.parametrize("cell", CELLS)
def test_errors(cell: str) -> None:
    module = CELLS[cell](3, 8)
    with pytest.raises(ShapeError) as caught:
        module(torch.randn(2, 4, 5))
    assert str(caught.value) == f"{cell}: got x of shape [2, 4, 5], want [B, T, 3]."
    with pytest.raises(ShapeError) as caught:
        module(torch.randn(2, 4, 3), None, torch.tensor([1, 5]))
    assert str(caught.value) == f"{cell}: got a length of 5, want 0 to 4, the steps of x."
    with pytest.raises(ConfigError) as refused:
        CELLS[cell](3, 8, recurrent_dropout=1.0)
    assert str(refused.value) == "recurrent_dropout: got 1.0, want 0 ≤ rate < 1."
    with pytest.raises(ConfigError) as refused:
        CELLS[cell](3, 8, initial="learnt")  # type: ignore[arg-type]
    assert str(refused.value) == "initial: no such start 'learnt'. Did you mean 'learned'?"


def test_unknown_nonlinearity() -> None:
    with pytest.raises(ConfigError) as refused:
        RNN(3, 8, nonlinearity="relu6")  # type: ignore[arg-type]
    assert str(refused.value) == "nonlinearity: no such nonlinearity 'relu6'. Did you mean 'relu'?"


@pytest.mark.parametrize("cell", CELLS)
def test_step_exports(cell: str) -> None:
    """The step is plain tensor arithmetic: torch.export follows it whole, for any batch."""

    class Live(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = CELLS[cell](3, 8)

        def forward(self, x: torch.Tensor, *leaves: torch.Tensor) -> tuple[torch.Tensor, ...]:
            template = self.cell.initial_state(1)
            y, state = self.cell.step(x, states.from_tensors(template, leaves))
            return y, *states.tensors(state)

    live = Live().eval()
    leaves = states.tensors(live.cell.initial_state(2))
    program = torch.export.export(live, (torch.randn(2, 3), *leaves))
    x = torch.randn(2, 3)
    torch.testing.assert_close(program.module()(x, *leaves), live(x, *leaves))


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"recurrent_dropout": 0.3}], ids=str)
@pytest.mark.parametrize("cell", CELLS)
def test_memory_stays_in_full_precision_under_autocast(cell: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    module = CELLS[cell](3, 8, **options)
    x, state, lengths = torch.randn(2, 5, 3), module.initial_state(2), torch.tensor([5, 2])
    want = module(x, state)[0]
    with torch.autocast("cpu", torch.bfloat16):
        results = [module(x, state), module(x, state, lengths), module.step(x[:, 0], state)]
        sum(y.sum() for y, _ in results).backward()
    for y, after in results:
        assert {leaf.dtype for leaf in states.tensors((y, after))} == {torch.float32}
    torch.testing.assert_close(results[0][0], want, atol=0.1, rtol=0.0)


@pytest.mark.parametrize("make", [RNN, GRU, LSTM])
def test_zoneout_keeps_units_as_often_as_asked(make: Any) -> None:
    torch.manual_seed(0)
    module = make(3, 50, zoneout=0.3)
    state = module.initial_state(40)
    state = state._replace(hidden=torch.randn_like(state.hidden))
    y, after = module(torch.randn(40, 30, 3), state)
    before = torch.cat((state.hidden[:, None], y[:, :-1]), dim=1)
    stayed = (y == before).double()
    assert stayed.mean().item() == pytest.approx(0.3, abs=0.01)
    # unit by unit and row by row: no unit, row or step is favoured
    for axes in ((0, 1), (0, 2), (1, 2)):
        assert stayed.mean(dim=axes).sub(0.3).abs().max() < 0.06
    flat = stayed - 0.3
    for other in (flat.roll(1, 0), flat.roll(1, 1), flat.roll(1, 2)):
        assert (flat * other).mean().abs() < 0.01  # neighbours are drawn independently
    assert torch.equal(after.draws[:, 1], torch.full((40,), 30))


def test_zoneout_of_the_cell_alone() -> None:
    torch.manual_seed(0)
    module = LSTM(3, 200, zoneout_cell=0.5)
    _, state = module.step(torch.randn(8, 3), module.initial_state(8))
    _, after = module.step(torch.randn(8, 3), state)
    assert (after.cell == state.cell).double().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (after.hidden != state.hidden).all()


@pytest.mark.parametrize("make", [RNN, GRU, LSTM])
def test_zoneout_draws_the_same_without_the_extension(make: Any) -> None:
    torch.manual_seed(0)
    module = make(3, 17, zoneout=0.4)
    x, state, lengths = torch.randn(5, 6, 3), module.initial_state(5), torch.tensor([6, 0, 1, 3, 5])
    with without_native():
        want, final = module(x, state, lengths)
    got, last = module(x, state, lengths)
    torch.testing.assert_close(got, want)
    assert torch.equal(last.draws, final.draws)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"zoneout": 1.0}, "zoneout: got 1.0, want 0 ≤ rate < 1."),
        ({"zoneout_cell": -0.1}, "zoneout_cell: got -0.1, want 0 ≤ rate < 1."),
        ({"projection_size": -1}, "projection_size: got -1, want 0 or more."),
    ],
    ids=str,
)
def test_options_of_the_lstm_are_checked(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        LSTM(3, 8, **options)
    assert str(refused.value) == text
