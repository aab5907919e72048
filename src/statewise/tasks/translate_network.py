"""The network of a translation: an encoder of the source, and a writer of the target, token by token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.decoder import Decoder, DecoderState
from statewise.nn.embedding import TokenEmbedding, TokenReadout
from statewise.nn.encoder import BidirectionalBackbone
from statewise.recurrence import Recurrence, zero_padding
from statewise.rows.text.vocabulary import BOS


@dataclass(frozen=True)
class Sizes:
    """The vocabularies, and the width of the embeddings."""

    source: int
    target: int
    embedding: int


@dataclass(frozen=True)
class Dropouts:
    """What training drops of the embeddings: parts, the same all through a sentence, and whole words."""

    parts: float = 0.0
    words: float = 0.0


class Look(NamedTuple):
    """What the writer says after one token: logits [N, V], and where it looked [N, S]."""

    logits: Tensor
    weights: Tensor


class Writer(Recurrence):
    """Target tokens [B, T] to the logits [B, T, V] of the next ones, given what its state holds of a source.

    `x` are whole numbers, the first of a sentence `<bos>`.
    """

    def __init__(self, embedding: TokenEmbedding, decoder: Decoder, *, tied: bool, dropout: float) -> None:
        super().__init__()
        self.embedding, self.decoder, self.dropout = embedding, decoder, dropout
        self.readout = TokenReadout(decoder.feature_size, embedding, tied=tied)

    def initial_state(self, batch: int) -> DecoderState:
        """The decoder's, of a source of no tokens."""
        return self.decoder.initial_state(batch)

    def step(self, x: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Tokens [B] to logits [B, V]."""
        look, state = self.look(x, state)
        return look.logits, state

    def forward(
        self, x: Tensor, state: DecoderState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        """Tokens [B, T] to logits [B, T, V]."""
        features, after = self.features(x, state, lengths)
        return zero_padding(self.readout(features), lengths), after

    def features(
        self, x: Tensor, state: DecoderState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, DecoderState]:
        """What the readout reads [B, T, F]: training takes the logits of real tokens alone."""
        features, after = self.decoder(self.embedding(x), state, lengths)
        return functional.dropout(features, self.dropout, self.training), after

    def look(self, x: Tensor, state: DecoderState) -> tuple[Look, DecoderState]:
        """`step` that tells where it looked; the source may be shared by neighbouring rows (beams)."""
        features, weights, after = self.decoder.look_once(self.embedding(x), state)
        return Look(self.readout(features), weights), after


class TranslateNetwork(nn.Module):
    """Source and target tokens to the logits of each next target token.

    The encoder reads the whole source; what comes after it, the writer, is a recurrence.
    """

    def __init__(
        self,
        sizes: Sizes,
        encoder: BackboneConfig,
        decoder: BackboneConfig,
        dropouts: Dropouts,
        *,
        attention: str,
        bidirectional: bool,
        shared: bool,
        tied: bool,
    ) -> None:
        super().__init__()
        size, self.dropout = sizes.embedding, encoder.dropout
        self.encoder: Any = (BidirectionalBackbone if bidirectional else Backbone)(size, encoder)
        reader = Decoder(size, encoder.hidden_size, decoder, attention=attention, feature_size=size)
        target = _embedding(sizes.target, size, dropouts)
        self.writer = Writer(target, reader, tied=tied, dropout=decoder.dropout)
        self.source = None if shared else _embedding(sizes.source, size, dropouts)

    def read(self, source: Tensor, lengths: Tensor) -> DecoderState:
        """The writer's state after the source tokens [B, S], S ≥ 1, of `lengths` [B]."""
        embedding = self.writer.embedding if self.source is None else self.source
        x = embedding(source)
        if isinstance(self.encoder, Recurrence):
            annotations, _ = self.encoder(x, None, lengths)
        else:
            annotations = self.encoder(x, lengths)
        annotations = functional.dropout(annotations, self.dropout, self.training)
        return self.writer.decoder.begin(annotations, lengths)

    def features(self, source: Tensor, source_lengths: Tensor, tokens: Tensor, lengths: Tensor) -> Tensor:
        """What the readout reads [B, T, F] where the writer is given `tokens` [B, T] (teacher forcing)."""
        features, _ = self.writer.features(tokens, self.read(source, source_lengths), lengths)
        return features

    @torch.no_grad()
    def with_own_guesses(
        self, source: Tensor, source_lengths: Tensor, tokens: Tensor, lengths: Tensor, share: float
    ) -> Tensor:
        """`tokens` [B, T] with a share of those after `<bos>` replaced by what the network thinks likeliest.

        Scheduled sampling (Bengio et al. 2015) in two passes that keep training parallel: the first guesses
        from the true tokens, the second learns from the mixture (Mihaylova and Martins 2019).
        """
        features = self.features(source, source_lengths, tokens, lengths)
        guesses = torch.stack([self.writer.readout(row).argmax(-1) for row in features])
        guessed = torch.cat((tokens[:, :1], guesses[:, :-1]), dim=1)
        chosen = (torch.rand(tokens.shape, device=tokens.device) < share) & (tokens != BOS)
        return torch.where(chosen, guessed, tokens)


def _embedding(count: int, size: int, dropouts: Dropouts) -> TokenEmbedding:
    return TokenEmbedding(count, size, word_dropout=dropouts.words, locked_dropout=dropouts.parts)
