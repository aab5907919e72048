"""Golden: every cell against torch.nn with copied weights, in float64; values, final states and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from statewise.cells.gru import GRU, GRUState
from statewise.cells.lstm import LSTM, LSTMState
from statewise.cells.rnn import RNN, RNNState
from statewise.recurrence import Recurrence

B, T, X, H = 3, 11, 5, 7


def copy_weights(theirs: nn.RNNBase, ours: Recurrence) -> None:
    """torch keeps two biases per gate; where ours is one, it is their sum."""
    weights = dict(theirs.named_parameters())
    with torch.no_grad():
        ours.input_weight.copy_(weights["weight_ih_l0"])
        ours.recurrent_weight.copy_(weights["weight_hh_l0"])
        if isinstance(ours, GRU):
            ours.input_bias.copy_(weights["bias_ih_l0"])
            ours.recurrent_bias.copy_(weights["bias_hh_l0"])
        else:
            ours.bias.copy_(weights["bias_ih_l0"] + weights["bias_hh_l0"])


def draw() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(3)
    make = lambda *shape: torch.randn(*shape, dtype=torch.float64, requires_grad=True)  # noqa: E731
    return make(B, T, X), make(B, H), make(B, H)


def none(x: Tensor) -> tuple[Tensor, Tensor]:
    """No dropout, no zoneout."""
    return x.new_zeros(len(x), 0), x.new_zeros(len(x), 0)


def gradients(value: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value.square().sum(), leaves)


def close(got: Any, want: Any) -> None:
    torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-12, check_stride=False)


@pytest.mark.parametrize("form", ["_native", "_fused", "_by_hand", "_loop"])
def test_lstm(form: str) -> None:
    theirs, ours = nn.LSTM(X, H, batch_first=True).double(), LSTM(X, H).double()
    copy_weights(theirs, ours)
    x, h, c = draw()
    run = getattr(ours, form)
    y, state = run(x, LSTMState(h, c, *none(x)), None)
    want, (h_n, c_n) = theirs(x, (h[None], c[None]))
    close((y, state.hidden, state.cell), (want, h_n[0], c_n[0]))
    got = gradients(y + state.cell[:, None], x, h, c, ours.input_weight, ours.recurrent_weight, ours.bias)
    weights = (theirs.weight_ih_l0, theirs.weight_hh_l0, theirs.bias_ih_l0)
    close(got, gradients(want + c_n[0][:, None], x, h, c, *weights))


@pytest.mark.parametrize("form", ["_native", "_fused", "_by_hand", "_loop"])
def test_gru(form: str) -> None:
    theirs, ours = nn.GRU(X, H, batch_first=True).double(), GRU(X, H).double()
    copy_weights(theirs, ours)
    x, h, _ = draw()
    run = getattr(ours, form)
    y, state = run(x, GRUState(h, *none(x)), None)
    want, h_n = theirs(x, h[None])
    close((y, state.hidden), (want, h_n[0]))
    close(gradients(y, x, h, *ours.parameters()), gradients(want, x, h, *theirs.parameters()))


@pytest.mark.parametrize("form", ["_native", "_fused", "_loop"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn(form: str, nonlinearity: Any) -> None:
    theirs = nn.RNN(X, H, nonlinearity=nonlinearity, batch_first=True).double()
    ours = RNN(X, H, nonlinearity=nonlinearity).double()
    copy_weights(theirs, ours)
    x, h, _ = draw()
    run = getattr(ours, form)
    y, state = run(x, RNNState(h, *none(x)), None)
    want, h_n = theirs(x, h[None])
    close((y, state.hidden), (want, h_n[0]))
    weights = (theirs.weight_ih_l0, theirs.weight_hh_l0, theirs.bias_ih_l0)
    close(
        gradients(y, x, h, ours.input_weight, ours.recurrent_weight, ours.bias),
        gradients(want, x, h, *weights),
    )


@pytest.mark.parametrize("cell", [RNN, LSTM, GRU])
def test_step_is_the_equation(cell: Any) -> None:
    """The fused step and the equations written in the file are one function."""
    torch.manual_seed(4)
    ours = cell(X, H).double()
    x, state = torch.randn(B, X, dtype=torch.float64), ours.initial_state(B)
    _, state = ours.step(torch.randn_like(x), state)
    close(ours.step(x, state), ours._update(ours._project(x), state))


@pytest.mark.parametrize("cell", [RNN, LSTM, GRU])
def test_lengths_agree_with_torch_packing(cell: Any) -> None:
    theirs = getattr(nn, cell.__name__)(X, H, batch_first=True).double()
    ours = cell(X, H).double()
    copy_weights(theirs, ours)
    x, lengths = draw()[0], torch.tensor([11, 4, 1])
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
    want, final = theirs(packed)
    y, state = ours(x, None, lengths)
    close(y, nn.utils.rnn.pad_packed_sequence(want, batch_first=True)[0])
    close(list(state[:-2]), [part[0] for part in (final if cell is LSTM else (final,))])


def test_gru_with_the_reset_before_by_hand() -> None:
    """One unit, all weights 1: equation 8 of Cho et al. 2014 computed by hand."""
    cell = GRU(1, 1, reset_after=False).double()
    for parameter in cell.parameters():
        nn.init.ones_(parameter)
    x, h = torch.tensor([[0.5]], dtype=torch.float64), torch.tensor([[0.25]], dtype=torch.float64)
    gate = torch.sigmoid(x + 1 + h + 1)  # r and z alike
    candidate = torch.tanh(x + 1 + gate * h + 1)
    y, _ = cell.step(x, GRUState(h, *none(x)))
    close(y, (1 - gate) * candidate + gate * h)


def test_layer_norm_lstm_is_equations_20_to_22() -> None:
    torch.manual_seed(5)
    cell = LSTM(X, H, layer_norm=True).double()
    for parameter in cell.parameters():
        nn.init.normal_(parameter)
    x, h, c = draw()

    def norm(v: Tensor, gain: Tensor) -> Tensor:
        centred = v - v.mean(-1, keepdim=True)
        return gain * centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    u, w = cell.recurrent_weight, cell.input_weight
    gates = (
        norm(x[:, 0] @ w.T, cell.input_norm.weight) + norm(h @ u.T, cell.recurrent_norm.weight) + cell.bias
    )
    i, f, g, o = gates.chunk(4, -1)
    after = f.sigmoid() * c + i.sigmoid() * g.tanh()
    want = o.sigmoid() * (norm(after, cell.cell_norm.weight) + cell.cell_norm.bias).tanh()
    y, state = cell.step(x[:, 0], LSTMState(h, c, *none(x)))
    close((y, state.cell), (want, after))


@pytest.mark.parametrize("form", ["_native", "_loop"])
def test_projection_is_that_of_torch(form: str) -> None:
    theirs = nn.LSTM(X, H, batch_first=True, proj_size=2).double()
    ours = LSTM(X, H, projection_size=2).double()
    copy_weights(theirs, ours)
    with torch.no_grad():
        ours.projection_weight.copy_(theirs.weight_hr_l0)
    x, h, c = draw()
    h = h[:, :2]
    y, state = getattr(ours, form)(x, LSTMState(h, c, *none(x)), None)
    want, (h_n, c_n) = theirs(x, (h[None], c[None]))
    close((y, state.hidden, state.cell), (want, h_n[0], c_n[0]))
    got = gradients(y, x, h, c, ours.input_weight, ours.recurrent_weight, ours.projection_weight, ours.bias)
    weights = (theirs.weight_ih_l0, theirs.weight_hh_l0, theirs.weight_hr_l0, theirs.bias_ih_l0)
    close(got, gradients(want, x, h, c, *weights))


def one_unit(**options: Any) -> tuple[LSTM, Tensor, LSTMState]:
    """One unit with all weights 1, after c = 0.5 and h = 0.25."""
    cell = LSTM(1, 1, **options).double()
    for parameter in cell.parameters():
        nn.init.ones_(parameter)
    x = torch.tensor([[0.5]], dtype=torch.float64)
    return cell, x, LSTMState(x * 0 + 0.25, x * 0 + 0.5, *none(x))


def test_peepholes_by_hand() -> None:
    """Equations of Gers and Schmidhuber 2000: i and f see the old cell, o the new one."""
    cell, x, state = one_unit(peephole=True)
    total = x + state.hidden + 1
    gate = torch.sigmoid(total + state.cell)
    new = gate * state.cell + gate * torch.tanh(total)
    want = torch.sigmoid(total + new) * torch.tanh(new)
    y, after = cell.step(x, state)
    close((y, after.cell), (want, new))


def test_coupled_gates_by_hand() -> None:
    """The CIFG of Greff et al. 2017: i = 1 - f."""
    cell, x, state = one_unit(coupled_gates=True)
    total = x + state.hidden + 1
    forget = torch.sigmoid(total)
    new = forget * state.cell + (1 - forget) * torch.tanh(total)
    y, after = cell.step(x, state)
    close((y, after.cell), (torch.sigmoid(total) * torch.tanh(new), new))


def test_zoneout_by_hand() -> None:
    """Krueger et al. 2017, equation 5, in evaluation: the expectation; h from the cell before its zoneout."""
    cell, x, state = one_unit(zoneout=0.25, zoneout_cell=0.5)
    cell.eval()
    total = x + state.hidden + 1
    new = torch.sigmoid(total) * (state.cell + torch.tanh(total))
    output = torch.sigmoid(total) * torch.tanh(new)
    y, after = cell.step(x, state)
    close((y, after.cell), (0.25 * state.hidden + 0.75 * output, 0.5 * state.cell + 0.5 * new))
