"""Vectors to log-probabilities of the items of a vocabulary, small or large, and the loss of what came.

Where the weights are the embedding's, a projection stands before them even where the sizes agree. What goes
around the layers of a residual network is the vector of the item that came, so without it training starts
from the firm belief that every item comes twice.
"""

from __future__ import annotations

import itertools
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
from statewise.ops.linear import linear

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
    """A softmax over all items; `tied`, its weights are the embedding's, behind a projection.

    A loss holds at most LARGEST logits: it goes through long inputs piece by piece, and computes the logits
    of each piece a second time on the way back instead of keeping them.
    """

    def __init__(self, input_size: int, embedding: TokenEmbedding, *, tied: bool = True) -> None:
        super().__init__()
        self.readout = TokenReadout(input_size, embedding, tied=tied, projected=True)
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
        ends = _ends(vocabulary_size, cutoffs)
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


class TiedAdaptiveSoftmax(VocabularyReadout):
    """A softmax in groups whose weights are the embedding's: group i scores its own slice of the table.

    log p(item) = log_softmax(head)[item] for the frequent items, and for one of group i
    log_softmax(head)[group i] + log_softmax(E_i P x + b_i)[item], where the head is E_0 P x + b_0 and one
    learned vector per group, E_i [V_i, E] the rows of the embedding that are the group's, and P [E,
    input_size] a projection. So every item keeps a vector of full width, and a training step still computes
    only the groups that its targets lie in. Ids must be in order of frequency. Sources: Grave et al. 2017
    (groups), Press and Wolf 2017 (tied), Baevski and Auli 2019 (both, there with vectors that grow narrower).
    """

    _begins: Tensor  # [groups + 1] the first item of the head and of each group

    def __init__(self, input_size: int, embedding: TokenEmbedding, cutoffs: Sequence[int]) -> None:
        super().__init__()
        size, width = embedding.vocabulary_size, embedding.embedding_size
        ends = (*_ends(size, cutoffs), size)
        self.sizes = [end - begin for begin, end in itertools.pairwise((0, *ends))]
        # In a tuple, so that the shared weight is counted, saved and averaged once: by the embedding.
        self._tied = (embedding,)
        self.project = nn.Linear(input_size, width, bias=False)
        self.groups = nn.Parameter(torch.empty(len(ends) - 1, width).uniform_(-0.1, 0.1))
        self.group_bias = nn.Parameter(torch.zeros(len(ends) - 1))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("_begins", torch.tensor((0, *ends[:-1])), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weights, biases = self._slices()
        x = linear(x, self.project.weight)
        head = linear(x, weights[0], biases[0]).log_softmax(-1)
        parts = [head[..., : self.sizes[0]]]
        for group in range(1, len(self.sizes)):
            entry = self.sizes[0] + group - 1
            tail = linear(x, weights[group], biases[group]).log_softmax(-1)
            parts.append(tail + head[..., entry : entry + 1])
        return torch.cat(parts, dim=-1)

    def losses(self, x: Tensor, target: Tensor) -> Tensor:
        weights, biases = self._slices()
        wanted = target.reshape(-1)
        rows = linear(x.reshape(-1, x.shape[-1]), self.project.weight)
        group = torch.bucketize(wanted, self._begins[1:], right=True)
        entry = torch.where(group == 0, wanted, self.sizes[0] + group - 1)
        found = _nats(rows, weights[0], biases[0], entry)
        for number in range(1, len(self.sizes)):
            place = (group == number).nonzero().squeeze(-1)
            if len(place):
                item = wanted.index_select(0, place) - self._begins[number]
                nats = _nats(rows.index_select(0, place), weights[number], biases[number], item)
                found = found.index_add(0, place, nats)
        return found.view(target.shape)

    def _slices(self) -> tuple[list[Tensor], list[Tensor]]:
        """Weights and biases of the head, which has an entry per group at its end, and of the groups."""
        # One split: its gradient is one table, where slices would make a whole table each.
        weights = list(torch.split(self._tied[0].weight, self.sizes))
        biases = list(torch.split(self.bias, self.sizes))
        weights[0] = torch.cat((weights[0], self.groups))
        biases[0] = torch.cat((biases[0], self.group_bias))
        return weights, biases


def _nats(rows: Tensor, weight: Tensor, bias: Tensor, item: Tensor) -> Tensor:
    return functional.cross_entropy(linear(rows, weight, bias), item, reduction="none")


def _ends(vocabulary_size: int, cutoffs: Sequence[int]) -> list[int]:
    """The cutoffs inside the vocabulary. ConfigError when there is none."""
    ends = [cut for cut in cutoffs if cut < vocabulary_size]
    if not ends:
        raise ConfigError(
            f"cutoffs: got {list(cutoffs)}, want one below the {vocabulary_size:,} items of the "
            "vocabulary, or softmax='full'."
        )
    return ends


def check_cutoffs(cutoffs: Sequence[int]) -> tuple[int, ...]:
    """Rising whole numbers. ConfigError."""
    found = tuple(cutoffs)
    rising = all(low < high for low, high in zip((0, *found), found, strict=False))
    if not rising or any(cut != int(cut) or math.isinf(cut) for cut in found):
        raise ConfigError(f"cutoffs: got {list(found)}, want rising whole numbers above 0.")
    return found
