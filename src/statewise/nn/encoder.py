"""The encoder form of every cell and pattern: a stack of blocks that read a sequence from both ends."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.table import CELLS
from statewise.core.errors import ConfigError
from statewise.nn.backbone import BackboneConfig
from statewise.nn.bidirectional import Bidirectional
from statewise.recurrence import Encoder, Recurrence, check_sequence, zero_padding


class BidirectionalBackbone(Encoder):
    """Blocks of a `Bidirectional` each: x [B, T, input_size] to [B, T, hidden_size]; reads the whole first.

    The configuration is a backbone's; every layer has half of `hidden_size` units in each direction, their
    outputs side by side. Raises ConfigError for an odd `hidden_size`.
    """

    def __init__(self, input_size: int, config: BackboneConfig) -> None:
        super().__init__()
        if config.hidden_size % 2:
            raise ConfigError(
                f"hidden_size: got {config.hidden_size}, want an even number: each direction has half of it."
            )
        self.input_size, self.hidden_size, self.config = input_size, config.hidden_size, config
        half = replace(config, hidden_size=config.hidden_size // 2)
        sizes = [input_size] + [config.hidden_size] * (config.num_layers - 1)
        self.layers = nn.ModuleList(
            Bidirectional(lambda name=name, size=size: _cell(name, size, half))  # type: ignore[misc]
            for name, size in zip(config.layers(), sizes, strict=True)
        )
        normed = sizes[1:] if config.residual else []
        self.norms = nn.ModuleList(nn.LayerNorm(size) for size in normed)
        widens = config.residual and input_size != config.hidden_size
        self.around = nn.Linear(input_size, config.hidden_size) if widens else None

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """A sequence [B, T, input_size] to [B, T, hidden_size], zero after each row's length."""
        check_sequence(x, lengths, self.input_size, "bidirectional backbone")
        x = zero_padding(x, lengths)
        for depth, layer in enumerate(self.layers):
            before = self.norms[depth - 1](x) if depth and self.config.residual else x
            y = layer(before, lengths)
            y = functional.dropout(y, self.config.dropout, self.training)
            x = y if not self.config.residual else y + self._skip(x, depth)
        outputs: Tensor = zero_padding(x, lengths)
        return outputs

    def _skip(self, x: Tensor, depth: int) -> Tensor:
        skipped: Tensor = self.around(x) if depth == 0 and self.around is not None else x
        return skipped


def _cell(name: str, input_size: int, config: BackboneConfig) -> Recurrence:
    return CELLS[name].make(input_size, config.hidden_size, **config.cell_options(name))
