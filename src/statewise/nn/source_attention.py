"""Attention of a decoder over the annotations of a source sequence, and the memory it looks at.

With h the query (the decoder's output), a_s the annotation of source step s and A its keys:

    additive   e_s = v · tanh(W h + b + U a_s)          (Bahdanau, Cho and Bengio 2015, appendix A.1.2)
    general    e_s = h · (U a_s) / √H                   (Luong, Pham and Manning 2015, equation 8; the root
    dot        e_s = h · a_s / √H                        after Vaswani et al. 2017)
    context    c = Σ_s softmax_s(e) a_s                 over the real steps of the source

The memory rides in the decoder's state: what does not depend on the query, U a_s, is computed once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from statewise.core.errors import ConfigError, ShapeError, lookup
from statewise.recurrence import real_steps, zero_padding


class Source(NamedTuple):
    """What a decoder looks at: one entry per source step at the left, zeros after each row's `length`.

    Zeros at the end mean nothing, so that sources of different lengths meet in one batch.
    """

    annotations: Tensor  # [B, S, A]
    keys: Tensor  # [B, S, K], what the scores read of the annotations; K = 0 where they read them as they are
    length: Tensor  # [B] int64

    @property
    def growing(self) -> tuple[str, ...]:
        return ("annotations", "keys")


class SourceAttention(nn.Module, ABC):
    """Queries [N, T, H] to contexts [N, T, A] and weights [N, T, S] over the steps of a source of B rows.

    N is B, or a multiple of it: then each source row serves N / B neighbouring query rows (the beams of one
    sentence), without a copy. An empty source gives contexts of zero.
    """

    def __init__(self, query_size: int, source_size: int, key_size: int) -> None:
        super().__init__()
        self.query_size, self.source_size, self.key_size = query_size, source_size, key_size

    def source(self, annotations: Tensor, lengths: Tensor | None = None) -> Source:
        """The memory of annotations [B, S, A]; what stands after `lengths` [B] is not read."""
        batch, steps = annotations.shape[:2]
        if lengths is None:
            lengths = torch.full((batch,), steps, device=annotations.device)
        annotations = zero_padding(annotations, lengths)
        return Source(annotations, self._keys(annotations), lengths.long())

    def empty(self, batch: int, like: Tensor) -> Source:
        """The memory of `batch` sources of no steps."""
        annotations = like.new_zeros(batch, 0, self.source_size)
        length = torch.zeros(batch, dtype=torch.int64, device=like.device)
        return Source(annotations, like.new_zeros(batch, 0, self.key_size), length)

    def forward(self, query: Tensor, source: Source) -> tuple[Tensor, Tensor]:
        """Contexts [N, T, A] and weights [N, T, S]."""
        rows, steps = source.annotations.shape[:2]
        if rows and query.shape[0] % rows:
            raise ShapeError(
                f"source attention: got {query.shape[0]} rows of queries, want a multiple of {rows} sources."
            )
        beams = query.shape[0] // max(rows, 1)
        asked = query.reshape(rows, beams * query.shape[1], query.shape[2])
        there = real_steps(source.length, steps).unsqueeze(1)
        scores = self._scores(asked, source)
        # The lowest number rather than -inf: a row with no source has weights all the same, then zeroed.
        weights = scores.masked_fill(~there, torch.finfo(scores.dtype).min).softmax(dim=-1) * there
        context = torch.bmm(weights, source.annotations)
        return context.view(*query.shape[:2], self.source_size), weights.view(*query.shape[:2], steps)

    @abstractmethod
    def _keys(self, annotations: Tensor) -> Tensor:
        """What the scores read of annotations [B, S, A], zero where these are: [B, S, K]."""

    @abstractmethod
    def _scores(self, query: Tensor, source: Source) -> Tensor:
        """Scores [B, T, S] of queries [B, T, H]."""


class AdditiveAttention(SourceAttention):
    """A small network compares query and annotation. Source: Bahdanau, Cho and Bengio 2015."""

    def __init__(self, query_size: int, source_size: int) -> None:
        super().__init__(query_size, source_size, query_size)
        self.query = nn.Linear(query_size, query_size)
        self.key = nn.Linear(source_size, query_size, bias=False)
        self.score = nn.Linear(query_size, 1, bias=False)

    def _keys(self, annotations: Tensor) -> Tensor:
        keys: Tensor = self.key(annotations)
        return keys

    def _scores(self, query: Tensor, source: Source) -> Tensor:
        compared = torch.tanh(self.query(query).unsqueeze(2) + source.keys.unsqueeze(1))
        scores: Tensor = self.score(compared)
        return scores.squeeze(-1)


class GeneralAttention(SourceAttention):
    """Query and annotation in one product through a matrix. Source: Luong, Pham and Manning 2015."""

    def __init__(self, query_size: int, source_size: int) -> None:
        super().__init__(query_size, source_size, query_size)
        self.key = nn.Linear(source_size, query_size, bias=False)

    def _keys(self, annotations: Tensor) -> Tensor:
        keys: Tensor = self.key(annotations)
        return keys

    def _scores(self, query: Tensor, source: Source) -> Tensor:
        scores: Tensor = torch.bmm(query, source.keys.transpose(1, 2)) * self.query_size**-0.5
        return scores


class DotAttention(SourceAttention):
    """Query and annotation in one product as they are, of one size. Source: Luong, Pham and Manning 2015."""

    def __init__(self, query_size: int, source_size: int) -> None:
        if query_size != source_size:
            raise ConfigError(
                f"attention: 'dot' compares queries of {query_size} numbers with annotations of "
                f"{source_size}: want one size, or 'general'."
            )
        super().__init__(query_size, source_size, 0)

    def _keys(self, annotations: Tensor) -> Tensor:
        return annotations[..., :0]

    def _scores(self, query: Tensor, source: Source) -> Tensor:
        scores: Tensor = torch.bmm(query, source.annotations.transpose(1, 2)) * self.query_size**-0.5
        return scores


ATTENTIONS: dict[str, Callable[[int, int], SourceAttention]] = {
    "additive": AdditiveAttention,
    "general": GeneralAttention,
    "dot": DotAttention,
}


def source_attention(name: str, query_size: int, source_size: int) -> SourceAttention:
    """The attention `name` for queries [.., query_size] over annotations [.., source_size]. ConfigError."""
    return lookup(ATTENTIONS, name, "attention")(query_size, source_size)
