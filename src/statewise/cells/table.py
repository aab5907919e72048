"""The cells by name: what `cell="lstm"` means, what each costs and what it is good for."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_type_hints

from statewise.cells.attention import Attention
from statewise.cells.conv import Conv
from statewise.cells.deltanet import DeltaNet
from statewise.cells.gru import GRU
from statewise.cells.indrnn import IndRNN
from statewise.cells.lmu import LMU
from statewise.cells.lru import LRU
from statewise.cells.lstm import LSTM
from statewise.cells.mamba import Mamba
from statewise.cells.mamba2 import Mamba2
from statewise.cells.mingru import MinGRU
from statewise.cells.minlstm import MinLSTM
from statewise.cells.mlp import MLP
from statewise.cells.mlstm import MLSTM
from statewise.cells.qrnn import QRNN
from statewise.cells.rglru import RGLRU
from statewise.cells.rnn import RNN
from statewise.cells.s5 import S5
from statewise.cells.slstm import SLSTM
from statewise.core.config import from_mapping
from statewise.recurrence import Recurrence

Form = Literal["loop", "scan", "chunks", "window", "attention"]


@dataclass(frozen=True)
class Cell:
    """One entry of the table.

    `make(input_size, hidden_size, *, options)` gives a recurrence from [B, T, input_size] to
    [B, T, hidden_size]. `form` is how a whole sequence is computed. `state_size` counts the numbers kept per
    row and layer, `step_cost` the multiply-adds of one step, both at the default of what chooses a form, in
    I, H, the options by name, and `steps`, those seen so far, where that matters.
    """

    make: Callable[..., Recurrence]
    year: int
    source: str
    form: Form
    state_size: str
    step_cost: str
    good_for: str

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """The options by name: the keyword-only parameters of the constructor."""
        parameters = inspect.signature(self.make).parameters.values()
        return {one.name: one for one in parameters if one.kind is one.KEYWORD_ONLY}

    def checked(self, options: Mapping[str, Any], where: str) -> dict[str, Any]:
        """`options`, their types checked. ConfigError: "options.window: got 'two', want a whole number."."""
        hints = get_type_hints(inspect.unwrap(self.make.__init__))
        fields = [
            (name, hints[name], dataclasses.field(default=one.default)) for name, one in self.options.items()
        ]
        made: Any = from_mapping(dataclasses.make_dataclass("Options", fields), options, where)
        return {name: getattr(made, name) for name in options}


CELLS: dict[str, Cell] = {
    "rnn": Cell(
        RNN,
        1990,
        "Elman 1990",
        "loop",
        "H",
        "H·(I + H)",
        "short memories, and as the plainest thing to compare with",
    ),
    "lstm": Cell(
        LSTM,
        1997,
        "Hochreiter and Schmidhuber 1997, Gers et al. 2000",
        "loop",
        "2·H",
        "4·H·(I + H)",
        "the safe first choice: counting, state tracking, memories of some hundred steps",
    ),
    "gru": Cell(
        GRU,
        2014,
        "Cho et al. 2014",
        "loop",
        "H",
        "3·H·(I + H)",
        "as the LSTM with a quarter fewer weights and half the state; short series",
    ),
    "indrnn": Cell(
        IndRNN,
        2018,
        "Li et al. 2018",
        "loop",
        "H",
        "H·(I + 1)",
        "deep stacks; memories of thousands of steps that can be read off unit by unit",
    ),
    "mingru": Cell(
        MinGRU,
        2024,
        "Feng et al. 2024",
        "scan",
        "H",
        "H·(2·I + 1)",
        "fast training on long sequences with the fewest weights",
    ),
    "minlstm": Cell(
        MinLSTM,
        2024,
        "Feng et al. 2024",
        "scan",
        "H",
        "H·(3·I + 1)",
        "as mingru, with one gate for what stays and one for what enters",
    ),
    "qrnn": Cell(
        QRNN,
        2016,
        "Bradbury et al. 2016",
        "scan",
        "H + (window - 1)·I",
        "H·(3·window·I + 2)",
        "fast training where neighbouring inputs belong together: text, events",
    ),
    "lru": Cell(
        LRU,
        2023,
        "Orvieto et al. 2023",
        "scan",
        "2·state_size",
        "2·state_size·(I + H + 2) + 2·H² + H·I",
        "very long memories and oscillations in regularly sampled signals",
    ),
    "s5": Cell(
        S5,
        2023,
        "Smith, Warrington and Linderman 2023",
        "scan",
        "state_size",
        "state_size·(I + H + 2) + H² + H·I",
        "very long memories; signals whose sampling rate may change",
    ),
    "mamba": Cell(
        Mamba,
        2023,
        "Gu and Dao 2023",
        "scan",
        "expand·H·(state_size + conv_size - 1)",
        "expand·H·(2·I + 9/8·H + 5·state_size + conv_size)",
        "long sequences of which a few steps matter: language, events, genomes",
    ),
    "mamba2": Cell(
        Mamba2,
        2024,
        "Dao and Gu 2024",
        "chunks",
        "expand·H·state_size + (conv_size - 1)·(expand·H + 2·state_size)",
        "expand·H·(2·I + H + 3·state_size + conv_size) + 2·state_size·(I + conv_size) + num_heads·I",
        "as mamba with a larger state and faster training; forgets by content, at one rate per head",
    ),
    "mlstm": Cell(
        MLSTM,
        2024,
        "Beck et al. 2024",
        "chunks",
        "key_fraction·H·(H/num_heads + 1) + num_heads",
        "H·(2·I + 2·key_fraction·I + H + 3·key_fraction·H/num_heads) + 2·num_heads·I",
        "recall of many pairs in a fixed size; one step can outweigh all before it",
    ),
    "slstm": Cell(
        SLSTM,
        2024,
        "Beck et al. 2024",
        "loop",
        "4·H",
        "4·H·(I + H/num_heads)",
        "state tracking, and choices that are revised later",
    ),
    "deltanet": Cell(
        DeltaNet,
        2024,
        "Yang, Kautz and Hatamizadeh 2024",
        "chunks",
        "H²/num_heads + 3·(conv_size - 1)·H",
        "H·(4·I + H + 4·H/num_heads + 3·conv_size) + 2·num_heads·I",
        "associations that are overwritten; state tracking, with negative_eigenvalues",
    ),
    "rglru": Cell(
        RGLRU,
        2024,
        "De et al. 2024",
        "scan",
        "expand·H·conv_size",
        "expand·H·(2·I + 2·expand·H + H + conv_size + 3)",
        "language, beside attention over a window",
    ),
    "lmu": Cell(
        LMU,
        2019,
        "Voelker, Kajić and Eliasmith 2019, Chilkuri and Eliasmith 2021",
        "chunks",
        "channels·state_size",
        "channels·(I + state_size² + state_size + H·state_size) + H·I",
        "a known window of a smooth signal, kept whole in few numbers",
    ),
    "conv": Cell(
        Conv,
        2018,
        "Bai, Kolter and Koltun 2018",
        "window",
        "(kernel_size - 1)·dilation·(I + (2^(levels + 1) - 3)·H)",
        "H·(kernel_size + 1)·I + H·kernel_size·(2·levels - 1)·H",
        "patterns of known length; a memory that ends on a certain step",
    ),
    "attention": Cell(
        Attention,
        2017,
        "Vaswani et al. 2017",
        "attention",
        "2·H·steps + 1",
        "H·(3·I + H + 2·steps)",
        "exact recall of anything seen, at a price that grows with every step; with window, of the newest",
    ),
    "mlp": Cell(
        MLP,
        2017,
        "Vaswani et al. 2017",
        "window",
        "0",
        "expand·H·(I + H)",
        "no memory: a layer between others, as in 'attention mlp', the transformer's block",
    ),
}
