"""The network of a language model: items in, log-probabilities of the next one out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor, nn

from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.embedding import LockedDropout, TokenEmbedding
from statewise.nn.vocabulary_readout import (
    AdaptiveSoftmax,
    FullSoftmax,
    TiedAdaptiveSoftmax,
    VocabularyReadout,
)
from statewise.nn.weight_drop import check_weight_drop, forward_dropped
from statewise.recurrence import Recurrence, zero_padding
from statewise.state import State


@dataclass(frozen=True)
class LanguageConfig:
    """What the network has around its backbone."""

    embedding_size: int
    softmax: str = "full"
    tied: bool = True
    cutoffs: tuple[int, ...] = ()
    embedding_dropout: float = 0.0
    word_dropout: float = 0.0
    locked_dropout: float = 0.0  # of the vectors of items
    readout_dropout: float = 0.0
    weight_drop: float = 0.0


class LanguageNetwork(Recurrence):
    """Ids [B, T] to log-probabilities [B, T, V] of the item after each; its state is the backbone's."""

    norm: nn.LayerNorm | None

    def __init__(self, size: int, backbone: BackboneConfig, config: LanguageConfig) -> None:
        super().__init__()
        self.size, self.config = size, config
        self.embedding = TokenEmbedding(
            size,
            config.embedding_size,
            embedding_dropout=config.embedding_dropout,
            word_dropout=config.word_dropout,
            locked_dropout=config.locked_dropout,
        )
        # The embedding starts small, as a readout should; the backbone wants inputs of size about 1.
        self.scale = math.sqrt(config.embedding_size)
        self.backbone = Backbone(config.embedding_size, backbone)
        self.norm = nn.LayerNorm(backbone.hidden_size) if backbone.residual else None
        self.dropout = LockedDropout(config.readout_dropout)
        self.weight_drop = check_weight_drop(self.backbone, config.weight_drop)
        self.readout = _readout(backbone.hidden_size, self.embedding, config)

    def initial_state(self, batch: int) -> State:
        return self.backbone.initial_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One item [B] to log-probabilities [B, V]."""
        y, state = self.backbone.step(self.embedding(x) * self.scale, state)
        log_probs: Tensor = self.readout(self._normed(y))
        return log_probs, state

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """A sequence [B, T] to log-probabilities [B, T, V]."""
        y, state = self.contexts(x, state, lengths)
        return zero_padding(self.readout(y), lengths), state

    def contexts(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """A sequence [B, T] to what is read out [B, T, H]."""
        vectors = self.embedding(zero_padding(x, lengths)) * self.scale
        y, state = forward_dropped(self.backbone, self.weight_drop, vectors, state, lengths)
        return self._normed(y), state

    def losses(self, y: Tensor, target: Tensor) -> Tensor:
        """Surprisals (nats) [B, T] of `target` [B, T] after contexts [B, T, H]."""
        nats: Tensor = self.readout.losses(y, target)
        return nats

    def _normed(self, y: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(y if self.norm is None else self.norm(y))
        return dropped


def _readout(input_size: int, embedding: TokenEmbedding, config: LanguageConfig) -> VocabularyReadout:
    if config.softmax == "adaptive" and config.tied:
        return TiedAdaptiveSoftmax(input_size, embedding, config.cutoffs)
    if config.softmax == "adaptive":
        return AdaptiveSoftmax(input_size, embedding.vocabulary_size, config.cutoffs)
    return FullSoftmax(input_size, embedding, tied=config.tied)
