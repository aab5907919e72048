"""Blocks in a stack, named by plain values; itself a recurrence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torch import Tensor, nn

from statewise.cells.start import Initial, check_rate
from statewise.cells.table import CELLS
from statewise.core.errors import ConfigError, lookup, suggestion
from statewise.nn.block import Block
from statewise.recurrence import Recurrence, check_sequence
from statewise.state import State

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
_SHARED = {
    "layer_norm": False,
    "recurrent_dropout": 0.0,
    "initial": "zero",
}  # fields that cells take, defaults


@dataclass(frozen=True)
class BackboneConfig:
    """What a backbone is made of.

    `cell` is one name or a pattern ("lstm gru"), repeated over `num_layers` layers. `dropout` acts on what
    each layer adds, anew at every step; `recurrent_dropout` inside the loop, one mask per sequence.
    `residual=False` stacks the cells bare, as torch.nn.LSTM does. `options` are further options of the cells
    ({"state_size": 32}); each goes to every cell of the pattern that knows it, while `layer_norm`,
    `recurrent_dropout` and `initial` must be known to all of them. Raises ConfigError, naming the field.
    """

    cell: str = "gru"
    hidden_size: int = 64
    num_layers: int = 1
    dropout: float = 0.0
    recurrent_dropout: float = 0.0
    layer_norm: bool = False
    residual: bool = True
    initial: Initial = "zero"
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.cell.split():
            raise ConfigError("cell: got an empty pattern, want one or more names, such as 'lstm gru'.")
        for name in self.cell.split():
            lookup(CELLS, name, "cell")
        for setting, value in (("hidden_size", self.hidden_size), ("num_layers", self.num_layers)):
            if value < 1:
                raise ConfigError(f"{setting}: got {value}, want 1 or more.")
        cells = len(self.cell.split())
        if cells > self.num_layers:
            raise ConfigError(
                f"cell: the pattern '{self.cell}' names {cells} cells, but num_layers is {self.num_layers}."
            )
        check_rate(self.dropout, "dropout")
        check_rate(self.recurrent_dropout, "recurrent_dropout")
        self._check_options()

    def layers(self) -> tuple[str, ...]:
        """The name of each layer's cell."""
        names = self.cell.split()
        return tuple(names[layer % len(names)] for layer in range(self.num_layers))

    def cell_options(self, name: str) -> dict[str, Any]:
        """The options that cell `name` of the pattern is made with. ConfigError for one of a wrong type."""
        known = CELLS[name].options
        shared = {setting: value for setting, value in self._shared().items() if value != _SHARED[setting]}
        further = {option: value for option, value in self.options.items() if option in known}
        return shared | CELLS[name].checked(further, "options")

    def _shared(self) -> dict[str, Any]:
        return {setting: getattr(self, setting) for setting in _SHARED}

    def _check_options(self) -> None:
        object.__setattr__(self, "options", dict(self.options))
        names = dict.fromkeys(self.cell.split())
        known = {option for name in names for option in CELLS[name].options} - set(_SHARED)
        for option in self.options:
            if option in _SHARED:
                raise ConfigError(f"options: '{option}' is a setting of the backbone itself: give it there.")
            if option not in known:
                cells = " and ".join(f"'{name}'" for name in names)
                raise ConfigError(f"options: no option '{option}' of {cells}.{suggestion(option, known)}")
        projected = self.options.get("projection_size", 0)
        if projected not in (0, self.hidden_size):
            want = f"hidden_size, {self.hidden_size}: all layers are as wide"
            raise ConfigError(f"options.projection_size: got {projected!r}, want {want}.")
        for name in names:
            for setting in self.cell_options(name):
                if setting not in CELLS[name].options:
                    raise ConfigError(f"{setting}: the cell '{name}' has no such option.")


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
    mixer = CELLS[name].make(input_size, config.hidden_size, **config.cell_options(name))
    norm = config.residual and not first
    size = config.hidden_size
    return Block(mixer, input_size, size, dropout=config.dropout, norm=norm, skip=config.residual)
