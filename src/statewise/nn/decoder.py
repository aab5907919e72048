"""The decoder of a sequence-to-sequence model, as a recurrence whose state holds the source.

The first layer runs over the target tokens alone, its output asks the source, and the layers above read
output and context together (as in GNMT, Wu et al. 2016, where the bottom layer of the decoder asks). No
context goes back into the first layer, so a whole target is computed at once, and step by step it is the
same.

    h^1_t = cell_1(x_t)      c_t = attention(h^1_t, source)      z^1_t = W [h^1_t, c_t]
    z^l_t = z^(l-1)_t + cell_l(norm(z^(l-1)_t))                  f_t = tanh(V [z^L_t, c_t, x_t])

Without attention c is one vector that summarises the source, and the first layer reads it too (Cho et al.
2014).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from statewise.cells.table import CELLS
from statewise.nn.backbone import BackboneConfig
from statewise.nn.block import Block
from statewise.nn.source_attention import ATTENTIONS, Source, SourceAttention, source_attention
from statewise.recurrence import Recurrence, check_sequence, last_real, zero_padding
from statewise.state import State

# How a decoder sees its source: an attention by name, a summary at every step, or as the start alone.
PLAIN = ("summary", "start")
SEES = (*ATTENTIONS, *PLAIN)


class DecoderState(NamedTuple):
    """The source, and the memory of each layer.

    The source may have fewer rows than the layers, each shared by as many neighbouring rows (beams).
    """

    source: Source | Tensor  # without attention: the summary [B, C]
    layers: tuple[State, ...]


class Decoder(Recurrence):
    """Embedded target tokens x [B, T, E] to features [B, T, feature_size], given a source of width A.

    `attention` is "additive", "general" or "dot"; "summary" for a plain context vector at every step, "start"
    where the source is the first state and no more (Sutskever, Vinyals and Le 2014). The stack is that of
    `config`. `begin` gives the state that has read a source, `initial_state` one of an empty source.
    Raises ConfigError, ShapeError.
    """

    attention: SourceAttention | None
    merge: nn.Linear | None

    def __init__(
        self,
        input_size: int,
        source_size: int,
        config: BackboneConfig,
        *,
        attention: str = "additive",
        feature_size: int | None = None,
    ) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.input_size, self.source_size, self.config = input_size, source_size, config
        self.feature_size = feature_size or hidden
        plain = attention in PLAIN
        self.attention = None if plain else source_attention(attention, hidden, source_size)
        self.summary_size = hidden if attention == "summary" else 0
        context = self.summary_size if plain else source_size
        self.first = _layer(config, 0, input_size + self.summary_size, around=False)
        self.merge = nn.Linear(hidden + context, hidden) if context else None
        above = (
            _layer(config, layer, hidden, around=config.residual) for layer in range(1, config.num_layers)
        )
        self.above = nn.ModuleList(above)
        self.summary = nn.Linear(2 * source_size, hidden)
        self.start = nn.Linear(hidden, input_size)
        self.features = nn.Linear(hidden + context + input_size, self.feature_size)
        self._stack = [block for block in self.above if isinstance(block, Block)]

    def initial_state(self, batch: int) -> DecoderState:
        """The memory of `batch` rows that have read no source."""
        return DecoderState(self._no_source(batch), self._layers(batch))

    def begin(self, annotations: Tensor, lengths: Tensor | None = None) -> DecoderState:
        """The state that has read a source of annotations [B, S, A], S ≥ 1, of `lengths` [B].

        Its summary, made of the last and the first annotation, is taken as a step before the first token:
        so every kind of cell starts from the source.
        """
        annotations = zero_padding(annotations, lengths)
        ends = (last_real(annotations, annotations[:, 0], lengths), annotations[:, 0])
        summary = torch.tanh(self.summary(torch.cat(ends, dim=-1)))
        source: Source | Tensor = summary[:, : self.summary_size]
        if self.attention is not None:
            source = self.attention.source(annotations, lengths)
        state = DecoderState(source, self._layers(len(annotations)))
        return self.step(self.start(summary), state)[1]

    def step(self, x: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """One embedded token [B, E] to features [B, feature_size]."""
        features, _, state = self.look_once(x, state)
        return features, state

    def forward(
        self, x: Tensor, state: DecoderState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        """A sequence [B, T, E] to features [B, T, feature_size]."""
        features, _, state = self.look(x, state, lengths)
        return features, state

    def look(
        self, x: Tensor, state: DecoderState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """`forward` with the attention weights [B, T, S] before the state; S = 0 for no attention."""
        check_sequence(x, lengths, self.input_size, "decoder")
        state = self.initial_state(x.shape[0]) if state is None else state
        x = zero_padding(x, lengths)
        outputs, first = self.first(self._before(x, state.source), state.layers[0], lengths)
        context, weights = self._context(outputs, state.source)
        outputs, layers = self._merged(outputs, context), [first]
        for block, before in zip(self._stack, state.layers[1:], strict=True):
            outputs, after = block(outputs, before, lengths)
            layers.append(after)
        features = self._featured(outputs, context, x)
        after_all = DecoderState(state.source, tuple(layers))
        return zero_padding(features, lengths), zero_padding(weights, lengths), after_all

    def look_once(self, x: Tensor, state: DecoderState) -> tuple[Tensor, Tensor, DecoderState]:
        """`step` with the attention weights [B, S] before the state."""
        along = x.unsqueeze(1)
        output, first = self.first.step(self._before(along, state.source).squeeze(1), state.layers[0])
        context, weights = self._context(output.unsqueeze(1), state.source)
        output, layers = self._merged(output, context.squeeze(1)), [first]
        for block, before in zip(self._stack, state.layers[1:], strict=True):
            output, after = block.step(output, before)
            layers.append(after)
        features = self._featured(output, context.squeeze(1), x)
        return features, weights.squeeze(1), DecoderState(state.source, tuple(layers))

    def _layers(self, batch: int) -> tuple[State, ...]:
        return tuple(block.initial_state(batch) for block in (self.first, *self._stack))

    def _no_source(self, batch: int) -> Source | Tensor:
        like = self.summary.weight
        if self.attention is None:
            return like.new_zeros(batch, self.summary_size)
        return self.attention.empty(batch, like)

    def _before(self, x: Tensor, source: Any) -> Tensor:
        """What the first layer reads: x [N, T, E], and the summary where there is one."""
        if not self.summary_size:
            return x
        return torch.cat((x, _along(source, x)), dim=-1)

    def _context(self, query: Tensor, source: Any) -> tuple[Tensor, Tensor]:
        if self.attention is None:
            return _along(source, query), query.new_zeros(*query.shape[:2], 0)
        context, weights = self.attention(query, source)
        return context, weights

    def _merged(self, output: Tensor, context: Tensor) -> Tensor:
        if self.merge is None:
            return output
        merged: Tensor = self.merge(torch.cat((output, context), dim=-1))
        return merged

    def _featured(self, output: Tensor, context: Tensor, x: Tensor) -> Tensor:
        return torch.tanh(self.features(torch.cat((output, context, x), dim=-1)))


def _layer(config: BackboneConfig, layer: int, input_size: int, *, around: bool) -> Block:
    name, hidden = config.layers()[layer], config.hidden_size
    mixer = CELLS[name].make(input_size, hidden, **config.cell_options(name))
    return Block(mixer, input_size, hidden, dropout=config.dropout, norm=around, skip=around)


def _along(summary: Tensor, x: Tensor) -> Tensor:
    """A summary [B, C] for every step of x [N, T, ...], each row shared by N / B neighbours."""
    shared = x.shape[0] // max(len(summary), 1)
    return summary.repeat_interleave(shared, dim=0).unsqueeze(1).expand(-1, x.shape[1], -1)
