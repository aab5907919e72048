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


def gradients(value: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(value.square().sum(), leaves)


def close(got: Any, want: Any) -> None:
    torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-12, check_stride=False)


@pytest.mark.parametrize("form", ["forward", "_fused", "_scan", "_loop"])
def test_lstm(form: str) -> None:
    theirs, ours = nn.LSTM(X, H, batch_first=True).double(), LSTM(X, H).double()
    copy_weights(theirs, ours)
    x, h, c = draw()
    run = getattr(ours, form)
    y, state = run(x, LSTMState(h, c, x.new_zeros(B, 0)), None)
    want, (h_n, c_n) = theirs(x, (h[None], c[None]))
    close((y, state.hidden, state.cell), (want, h_n[0], c_n[0]))
    got = gradients(y + state.cell[:, None], x, h, c, ours.input_weight, ours.recurrent_weight, ours.bias)
    weights = (theirs.weight_ih_l0, theirs.weight_hh_l0, theirs.bias_ih_l0)
    close(got, gradients(want + c_n[0][:, None], x, h, c, *weights))


@pytest.mark.parametrize("form", ["forward", "_fused", "_scan", "_loop"])
def test_gru(form: str) -> None:
    theirs, ours = nn.GRU(X, H, batch_first=True).double(), GRU(X, H).double()
    copy_weights(theirs, ours)
    x, h, _ = draw()
    run = getattr(ours, form)
    y, state = run(x, GRUState(h, x.new_zeros(B, 0)), None)
    want, h_n = theirs(x, h[None])
    close((y, state.hidden), (want, h_n[0]))
    close(gradients(y, x, h, *ours.parameters()), gradients(want, x, h, *theirs.parameters()))


@pytest.mark.parametrize("form", ["forward", "_fused", "_loop"])
@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn(form: str, nonlinearity: Any) -> None:
    theirs = nn.RNN(X, H, nonlinearity=nonlinearity, batch_first=True).double()
    ours = RNN(X, H, nonlinearity=nonlinearity).double()
    copy_weights(theirs, ours)
    x, h, _ = draw()
    run = getattr(ours, form)
    y, state = run(x, RNNState(h, x.new_zeros(B, 0)), None)
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
    close(list(state[:-1]), [part[0] for part in (final if cell is LSTM else (final,))])


def test_gru_with_the_reset_before_by_hand() -> None:
    """One unit, all weights 1: equation 8 of Cho et al. 2014 computed by hand."""
    cell = GRU(1, 1, reset_after=False).double()
    for parameter in cell.parameters():
        nn.init.ones_(parameter)
    x, h = torch.tensor([[0.5]], dtype=torch.float64), torch.tensor([[0.25]], dtype=torch.float64)
    gate = torch.sigmoid(x + 1 + h + 1)  # r and z alike
    candidate = torch.tanh(x + 1 + gate * h + 1)
    y, _ = cell.step(x, GRUState(h, x.new_zeros(1, 0)))
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
    y, state = cell.step(x[:, 0], LSTMState(h, c, x.new_zeros(B, 0)))
    close((y, state.cell), (want, after))
