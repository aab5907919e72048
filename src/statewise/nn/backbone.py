"""Blocks in a stack, named by plain values; itself a recurrence."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from statewise.cells.start import Initial, check_rate
from statewise.cells.table import CELLS
from statewise.core.errors import ConfigError, lookup
from statewise.nn.block import Block
from statewise.recurrence import Recurrence, check_sequence
from statewise.state import State


@dataclass(frozen=True)
class BackboneConfig:
    """What a backbone is made of.

    `cell` is one name or a pattern ("lstm gru"), repeated over `num_layers` layers. `dropout` acts on what
    each layer adds, anew at every step; `recurrent_dropout` inside the loop, one mask per sequence.
    `residual=False` stacks the cells bare, as torch.nn.LSTM does. Raises ConfigError, naming the field.
    """

    cell: str = "gru"
    hidden_size: int = 64
    num_layers: int = 1
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    layer_norm: bool = False
    residual: bool = True
    initial: Initial = "zero"

    def __post_init__(self) -> None:
        if not self.cell.split():
            raise ConfigError("cell: got an empty pattern, want one or more names, such as 'lstm gru'.")
        for name in self.cell.split():
            lookup(CELLS, name, "cell")
        for field, value in (("hidden_size", self.hidden_size), ("num_layers", self.num_layers)):
            if value < 1:
                raise ConfigError(f"{field}: got {value}, want 1 or more.")
        cells = len(self.cell.split())
        if cells > self.num_layers:
            raise ConfigError(
                f"cell: the pattern '{self.cell}' names {cells} cells, but num_layers is {self.num_layers}."
            )
        check_rate(self.dropout, "dropout")
        check_rate(self.recurrent_dropout, "recurrent_dropout")

    def layers(self) -> tuple[str, ...]:
        """The name of each layer's cell."""
        names = self.cell.split()
        return tuple(names[layer % len(names)] for layer in range(self.num_layers))


class Backbone(Recurrence):
    """A stack of blocks: x [B, T, input_size] to [B, T, hidden_size]; the state is a tuple, one per layer.

    The first block takes x as it is, without a norm, so that absolute levels stay visible.
    """

    def __init__(self, input_size: int, config: BackboneConfig) -> None:
        super().__init__()
        self.input_size, self.hidden_size, self.config = input_size, config.hidden_size, config
        sizes = [input_size] + [config.hidden_size] * (config.num_layers - 1)
        self.blocks = nn.ModuleList(
            _block(name, size, config, first=layer == 0)
            for layer, (name, size) in enumerate(zip(config.layers(), sizes, strict=True))
        )
        self._stack = [block for block in self.blocks if isinstance(block, Block)]

    def initial_state(self, batch: int) -> tuple[State, ...]:
        """Each layer's own."""
        return tuple(block.initial_state(batch) for block in self._stack)

    def step(self, x: Tensor, state: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        """One observation [B, input_size] to [B, hidden_size]."""
        after = []
        for block, before in zip(self._stack, state, strict=True):
            x, part = block.step(x, before)
            after.append(part)
        return x, tuple(after)

    def forward(
        self, x: Tensor, state: tuple[State, ...] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[State, ...]]:
        """A sequence [B, T, input_size] to [B, T, hidden_size] and each layer's state."""
        check_sequence(x, lengths, self.input_size, "backbone")
        state = self.initial_state(x.shape[0]) if state is None else state
        after = []
        for block, before in zip(self._stack, state, strict=True):
            x, part = block(x, before, lengths)
            after.append(part)
        return x, tuple(after)


def _block(name: str, input_size: int, config: BackboneConfig, *, first: bool) -> Block:
    mixer = CELLS[name](
        input_size,
        config.hidden_size,
        layer_norm=config.layer_norm,
        recurrent_dropout=config.recurrent_dropout,
        initial=config.initial,
    )
    norm = config.residual and not first
    size = config.hidden_size
    return Block(mixer, input_size, size, dropout=config.dropout, norm=norm, skip=config.residual)
