"""The cells by name: what `cell="lstm"` means."""

from __future__ import annotations

from typing import Protocol

from statewise.cells.gru import GRU
from statewise.cells.lstm import LSTM
from statewise.cells.rnn import RNN
from statewise.cells.start import Initial
from statewise.recurrence import Recurrence


class MakeCell(Protocol):
    """What every entry of the table accepts: x [B, T, input_size] to outputs [B, T, hidden_size]."""

    def __call__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        layer_norm: bool = False,
        recurrent_dropout: float = 0.0,
        initial: Initial = "zero",
    ) -> Recurrence: ...


CELLS: dict[str, MakeCell] = {"rnn": RNN, "lstm": LSTM, "gru": GRU}
