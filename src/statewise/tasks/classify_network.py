"""The network of a classifier: front end, backbone, pooling and head, causal or reading both ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.embedding import LockedDropout, TokenEmbedding
from statewise.nn.encoder import BidirectionalBackbone
from statewise.nn.pooling import Pooling
from statewise.recurrence import Input, Recurrence, zero_padding
from statewise.rows.classify import ClassifyCodec
from statewise.rows.classify_text import TextReader
from statewise.rows.text.vocabulary import UNK
from statewise.state import State

_FIRST = 0.1  # spread of an embedding's first weights


@dataclass(frozen=True)
class NetworkConfig:
    """What the network has around its backbone."""

    embedding_size: int
    word_dropout: float  # of single tokens
    locked_dropout: float  # of parts of their vectors, the same at every step
    head_dropout: float  # of parts of what is pooled
    pooling: tuple[str, ...]


class TokenFront(nn.Module):
    """Ids [B, T] (or [B]), with spelling [B, T, S] too, to vectors [B, T, E + D], 0 for padding.

    The learned vectors of token and spelling are added [E]; the given ones stand beside them [D].
    """

    vectors: Tensor

    def __init__(self, reader: TextReader, config: NetworkConfig) -> None:
        super().__init__()
        size, subwords = reader.tokenizer.size, reader.subwords
        self.output_size = config.embedding_size + reader.vector_size
        self.register_buffer("vectors", torch.zeros(size, reader.vector_size))  # given ones, not trained
        self.word_dropout = config.word_dropout
        self.locked = LockedDropout(config.locked_dropout)
        self.token = TokenEmbedding(size, config.embedding_size)
        with torch.no_grad():  # what training rows do not hold says nothing, rather than something at random
            self.token.weight[UNK] = 0.0
            self.token.weight[size - reader.vector_words :] = 0.0
        self.spelling = nn.Embedding(subwords + 1, config.embedding_size, padding_idx=0) if subwords else None
        if self.spelling is not None:
            with torch.no_grad():
                self.spelling.weight.mul_(_FIRST)

    def forward(self, x: Input) -> Tensor:
        """Vectors of tokens; in training some tokens and some parts of all vectors are zero."""
        ids, runs = (x, None) if self.spelling is None else x
        vectors = self.token(ids)
        if runs is not None and self.spelling is not None:
            there = (runs != 0).sum(dim=-1, keepdim=True).clamp(min=1)
            spelled = functional.embedding(runs, self.spelling.weight, padding_idx=0).sum(dim=-2)
            vectors = vectors + spelled / there
        if self.vectors.shape[1]:
            vectors = torch.cat((vectors, functional.embedding(ids, self.vectors)), dim=-1)
        if self.training and self.word_dropout:
            keep = torch.rand(ids.shape, device=ids.device) >= self.word_dropout
            vectors = vectors * keep.unsqueeze(-1)
        kept: Tensor = self.locked(vectors)
        return kept

    @torch.no_grad()
    def set_vectors(self, vectors: Tensor) -> None:
        """Put in the given vectors [V, D]."""
        self.vectors.copy_(vectors)


class NumberFront(nn.Module):
    """Numbers [B, T, C] to [B, T, 2 C]: the value, and 1 where it is missing (NaN); there the value is 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.output_size = 2 * channels

    def forward(self, x: Tensor) -> Tensor:
        """Values and marks of missing ones."""
        missing = x.isnan()
        return torch.cat((torch.where(missing, 0.0, x), missing.to(x.dtype)), dim=-1)


class Head(nn.Module):
    """Pooled features to logits of the labels, after dropout."""

    def __init__(self, input_size: int, labels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(input_size, labels)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [..., K]."""
        logits: Tensor = self.readout(self.dropout(x))
        return logits


class CausalClassifier(Recurrence):
    """Tokens or numbers to logits [B, T, K] of the label so far; the state is backbone's and pools'."""

    def __init__(self, codec: ClassifyCodec, backbone: BackboneConfig, config: NetworkConfig) -> None:
        super().__init__()
        self.front = _front(codec, config)
        self.backbone = Backbone(self.front.output_size, backbone)
        self.pooling = Pooling(backbone.hidden_size, config.pooling)
        self.head = Head(self.pooling.output_size, len(codec.labels), config.head_dropout)

    def initial_state(self, batch: int) -> tuple[State, State]:
        return self.backbone.initial_state(batch), self.pooling.initial_state(batch)

    def step(self, x: Input, state: tuple[State, State]) -> tuple[Tensor, tuple[State, State]]:
        """One token or one step of numbers to logits [B, K]."""
        y, memory = self.backbone.step(self.front(x), state[0])
        pooled, pools = self.pooling.step(y, state[1])
        return self.head(pooled), (memory, pools)

    def forward(
        self, x: Input, state: tuple[State, State] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[State, State]]:
        """A sequence to logits [B, T, K]."""
        before, pools = (None, None) if state is None else state
        y, memory = self.backbone(self.front(zero_padding(x, lengths)), before, lengths)
        pooled, pools = self.pooling(y, pools, lengths)
        return zero_padding(self.head(pooled), lengths), (memory, pools)

    def logits(self, x: Input, lengths: Tensor) -> Tensor:
        """Logits [B, K] of whole sequences: those after the last real step."""
        y, _ = self.backbone(self.front(zero_padding(x, lengths)), None, lengths)
        made: Tensor = self.head(self.pooling.end(y, lengths))
        return made


class WholeClassifier(nn.Module):
    """Tokens or numbers of whole sequences to logits [B, K], read from both ends: it cannot run live."""

    def __init__(self, codec: ClassifyCodec, backbone: BackboneConfig, config: NetworkConfig) -> None:
        super().__init__()
        self.front = _front(codec, config)
        self.backbone = BidirectionalBackbone(self.front.output_size, backbone)
        self.pooling = Pooling(backbone.hidden_size, config.pooling)
        self.head = Head(self.pooling.output_size, len(codec.labels), config.head_dropout)

    def forward(self, x: Input, lengths: Tensor) -> Tensor:
        """Logits [B, K]."""
        return self.logits(x, lengths)

    def logits(self, x: Input, lengths: Tensor) -> Tensor:
        """Logits [B, K]; of a reader that goes backwards the last output is that of the first step."""
        y = self.backbone(self.front(zero_padding(x, lengths)), lengths)
        made: Tensor = self.head(self.pooling.end(y, lengths, backward=y.shape[-1] // 2))
        return made


def _front(codec: ClassifyCodec, config: NetworkConfig) -> Any:
    reader = codec.reader
    if isinstance(reader, TextReader):
        return TokenFront(reader, config)
    return NumberFront(reader.channels)
