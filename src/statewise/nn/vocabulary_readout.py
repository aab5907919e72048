"""Vectors to log-probabilities of the items of a vocabulary, small or large, and the loss of what came."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from statewise.core.errors import ConfigError
from statewise.nn.embedding import TokenEmbedding, TokenReadout

LARGEST = 1 << 25  # logits held at once in a loss: 128 MiB


class VocabularyReadout(nn.Module, ABC):
    """What stands between a context and the vocabulary."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Log-probabilities [..., V] of x [..., H], exact."""

    @abstractmethod
    def losses(self, x: Tensor, target: Tensor) -> Tensor:
        """Negative log-probabilities (nats) [...] of the items `target` [...] after x [..., H]."""


class FullSoftmax(VocabularyReadout):
    """A softmax over all items; `tied`, its weights are the embedding's.

    A loss holds at most LARGEST logits: it goes through long inputs piece by piece, and computes the logits
    of each piece a second time on the way back instead of keeping them.
    """

    def __init__(self, input_size: int, embedding: TokenEmbedding, *, tied: bool = True) -> None:
        super().__init__()
        self.readout = TokenReadout(input_size, embedding, tied=tied)
        self.size = embedding.vocabulary_size

    def forward(self, x: Tensor) -> Tensor:
        log_probs: Tensor = self.readout(x).log_softmax(-1)
        return log_probs

    def losses(self, x: Tensor, target: Tensor) -> Tensor:
        rows, wanted = x.reshape(-1, x.shape[-1]), target.reshape(-1)
        held = max(LARGEST // self.size, 1)
        if len(rows) <= held:
            return self._piece(rows, wanted).view(target.shape)
        pieces: list[Any] = [
            checkpoint(self._piece, part, want, use_reentrant=False)
            for part, want in zip(torch.split(rows, held), torch.split(wanted, held), strict=True)
        ]
        return torch.cat(pieces).view(target.shape)

    def _piece(self, rows: Tensor, wanted: Tensor) -> Tensor:
        return functional.cross_entropy(self.readout(rows), wanted, reduction="none")


class AdaptiveSoftmax(VocabularyReadout):
    """A softmax in groups: the frequent items, and behind one entry for each, groups of ever rarer ones.

    A training step computes only the groups that its targets lie in, so its cost hardly depends on the size
    of the vocabulary; log-probabilities are exact all the same. Ids must be in order of frequency; group i
    after the first is projected to input_size / 4^i, at least one value. Source: Grave et al. 2017.
    """

    def __init__(self, input_size: int, vocabulary_size: int, cutoffs: Sequence[int]) -> None:
        super().__init__()
        ends = [cut for cut in cutoffs if cut < vocabulary_size]
        if not ends:
            raise ConfigError(
                f"cutoffs: got {list(cutoffs)}, want one below the {vocabulary_size:,} items of the "
                "vocabulary, or softmax='full'."
            )
        shrink = min(4.0, 0.99 * input_size ** (1 / len(ends)))  # at least one value is left
        self.groups = nn.AdaptiveLogSoftmaxWithLoss(input_size, vocabulary_size, ends, div_value=shrink)

    def forward(self, x: Tensor) -> Tensor:
        # As torch's own `log_prob`, but nothing is written in place: so it runs as a compiled live step too.
        first, head = self.groups.shortlist_size, self.groups.head(x).log_softmax(-1)
        parts = [head[..., :first]]
        for place, tail in enumerate(self.groups.tail):
            parts.append(tail(x).log_softmax(-1) + head[..., first + place : first + place + 1])
        return torch.cat(parts, dim=-1)

    def losses(self, x: Tensor, target: Tensor) -> Tensor:
        found: Tensor = self.groups(x.reshape(-1, x.shape[-1]), target.reshape(-1)).output
        return -found.view(target.shape)


def check_cutoffs(cutoffs: Sequence[int]) -> tuple[int, ...]:
    """Rising whole numbers. ConfigError."""
    found = tuple(cutoffs)
    rising = all(low < high for low, high in zip((0, *found), found, strict=False))
    if not rising or any(cut != int(cut) or math.isinf(cut) for cut in found):
        raise ConfigError(f"cutoffs: got {list(found)}, want rising whole numbers above 0.")
    return found
