"""Tagging as a training problem: sentences of like length in one batch, the likelihood of their labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from statewise.data.bucketing import buckets, pad
from statewise.data.chunks import Chunk
from statewise.nn.crf import log_likelihood, tempered
from statewise.recurrence import Recurrence, real_steps
from statewise.state import State

Member = Any  # BothEnds or FromStart: what trains
TEMPERATURES = (0.7, 1.0, 1.4, 2.0, 2.8)
_SCORED_AT_ONCE = 4000  # tokens, padding included


@dataclass(frozen=True)
class Sentences:
    """Encoded sentences: words [T, W] and labels [T] of each."""

    words: Sequence[NDArray[np.int64]]
    labels: Sequence[NDArray[np.int64]]

    def __len__(self) -> int:
        return len(self.words)

    def batch(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Words [B, T, W], labels [B, T] and lengths [B] of some sentences."""
        words, lengths = pad([self.words[row] for row in rows])
        labels, _ = pad([self.labels[row] for row in rows])
        return words, labels, lengths


class TagProblem:
    """The training problem of one member: mean negative log-likelihood per token, in nats.

    The score is that of the held-out sentences at the best of a few temperatures: calibration comes later, so
    a network is not given up for being too sure, which most are long before they are at their best.
    """

    def __init__(
        self,
        network: Member,
        training: Sentences,
        held_out: Sentences | None,
        *,
        batch_size: int,
        batch_tokens: int,
    ) -> None:
        self.network, self.training, self.held_out = network, training, held_out
        self.batch_size, self.batch_tokens = batch_size, batch_tokens
        self.lengths = [len(words) for words in training.words]

    @property
    def validates(self) -> bool:
        """Whether sentences are held out."""
        return self.held_out is not None

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        """All sentences once, in batches of like length and random order."""
        size = 0 if self.batch_tokens else self.batch_size
        for rows in buckets(self.lengths, batch_size=size, batch_tokens=self.batch_tokens, rng=rng):
            words, labels, lengths = self.training.batch(rows)
            weight = real_steps(lengths, words.shape[1]).float()
            yield Chunk(words, labels, weight, fresh=True, last=True)

    def loss(self, network: Member, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """Mean over the tokens of a chunk."""
        lengths = chunk.weight.sum(1).long()
        emissions, after = _emissions(network, chunk.inputs, lengths, state)
        found = log_likelihood(emissions, chunk.target, network.readout.transitions(), lengths)
        return -found.sum() / lengths.sum(), after

    def validate(self, network: Member) -> float:
        """Nats per token of the held-out sentences, at the best of a few temperatures."""
        assert self.held_out is not None
        chain = network.readout.transitions()
        totals, count = dict.fromkeys(TEMPERATURES, 0.0), 0
        lengths = [len(words) for words in self.held_out.words]
        for rows in buckets(lengths, batch_tokens=_SCORED_AT_ONCE):
            words, labels, real = self.held_out.batch(rows)
            emissions, _ = _emissions(network, words, real, None)
            for value in TEMPERATURES:
                found = log_likelihood(emissions / value, labels, tempered(chain, value), real)
                totals[value] -= float(found.sum())
            count += int(real.sum())
        return min(totals.values()) / count


def _emissions(network: Member, words: Tensor, lengths: Tensor, state: State) -> tuple[Tensor, State]:
    """Emissions [B, T, K] and the state after; a member that reads both ends has none."""
    if isinstance(network, Recurrence):
        emissions, state = network(words, state, lengths)
    else:
        emissions = network(words, lengths)
    return emissions.float(), state
