"""The bidirectional encoder: against torch.nn, and honest about lengths."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from statewise.cells.gru import GRU
from statewise.nn.bidirectional import Bidirectional
from statewise.recurrence import Recurrence


def test_equals_a_bidirectional_torch_gru() -> None:
    torch.manual_seed(0)
    theirs = nn.GRU(3, 4, batch_first=True, bidirectional=True).double()
    ours = Bidirectional(lambda: GRU(3, 4)).double()
    weights = dict(theirs.named_parameters())
    with torch.no_grad():
        for cell, suffix in ((ours.ahead, "l0"), (ours.back, "l0_reverse")):
            assert isinstance(cell, GRU)
            cell.input_weight.copy_(weights[f"weight_ih_{suffix}"])
            cell.recurrent_weight.copy_(weights[f"weight_hh_{suffix}"])
            cell.input_bias.copy_(weights[f"bias_ih_{suffix}"])
            cell.recurrent_bias.copy_(weights[f"bias_hh_{suffix}"])
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x)[0], atol=1e-12, rtol=0.0, check_stride=False)


@given(lengths=st.lists(st.integers(0, 7), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_padding_changes_nothing(lengths: list[int], seed: int) -> None:
    torch.manual_seed(seed)
    encoder = Bidirectional(lambda: GRU(2, 3)).double()
    x = torch.randn(len(lengths), 7, 2, dtype=torch.float64)
    for row, length in enumerate(lengths):
        x[row, length:] = float("nan")
    y = encoder(x, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        torch.testing.assert_close(
            y[row, :length], encoder(x[row : row + 1, :length])[0], atol=1e-12, rtol=0.0
        )
        assert (y[row, length:] == 0).all()


def test_it_cannot_stream() -> None:
    assert not isinstance(Bidirectional(lambda: GRU(2, 3)), Recurrence)
