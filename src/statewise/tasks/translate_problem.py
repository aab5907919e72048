"""Translation as a training problem: pairs of like length in one batch, each token from those before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from statewise.data.bucketing import buckets, pad
from statewise.data.chunks import Chunk
from statewise.nn.embedding import token_loss
from statewise.recurrence import real_steps
from statewise.rows.cells import texts
from statewise.rows.records import Records
from statewise.rows.translate import Ids, TranslateCodec, begun, ended
from statewise.state import State
from statewise.tasks.translate_network import TranslateNetwork

_SCORED_AT_ONCE = 4000  # tokens, padding included


@dataclass(frozen=True)
class Pairs:
    """Encoded rows: source [S] that ends with `<eos>`, target [T]; and the texts they came from."""

    codec: TranslateCodec
    texts: tuple[Sequence[str], Sequence[str]]
    sources: Sequence[Ids]
    targets: Sequence[Ids]

    @staticmethod
    def of(codec: TranslateCodec, rows: Records) -> Pairs:
        """The pairs of checked rows. Raises DataError for a missing text."""
        sources, targets = (texts(rows, name) for name in codec.columns)
        return Pairs(codec, (sources, targets), codec.sources(sources), codec.targets(targets))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of source and target, end marks counted, [N, 2]."""
        pairs = zip(self.sources, self.targets, strict=True)
        return np.array([(len(source), len(target) + 1) for source, target in pairs]).reshape(-1, 2)

    def chunk(self, rows: NDArray[np.int64], dropout: float = 0.0, rng: Any = None) -> Chunk:
        """Some rows; with `dropout` their words are cut into parts anew, by draws from `rng`."""
        sources, targets = [self.sources[row] for row in rows], [self.targets[row] for row in rows]
        if dropout:
            lines = ([side[row] for row in rows] for side in self.texts)
            sources = self.codec.resampled(next(lines), "source", dropout, rng)
            targets = self.codec.resampled(next(lines), "target", dropout, rng)
        source, lengths = pad(sources)
        tokens, real = pad([begun(target) for target in targets])
        wanted, _ = pad([ended(target) for target in targets])
        weight = real_steps(real, tokens.shape[1]).float()
        return Chunk((source, lengths.unsqueeze(1), tokens), wanted, weight, fresh=True, last=True)


@dataclass(frozen=True)
class Lesson:
    """How training batches are made and what the loss adds to the likelihood."""

    batch_size: int
    batch_tokens: int
    label_smoothing: float = 0.0
    scheduled_sampling: float = 0.0
    bpe_dropout: float = 0.0


class TranslateProblem:
    """The training problem of one member: mean cross-entropy per target token, its end counted, in nats.

    The score is that of the held-out rows without smoothing.
    """

    def __init__(
        self, network: TranslateNetwork, training: Pairs, held_out: Pairs | None, lesson: Lesson
    ) -> None:
        self.network, self.training, self.held_out, self.lesson = network, training, held_out, lesson
        self.lengths = training.lengths

    @property
    def validates(self) -> bool:
        """Whether rows are held out."""
        return self.held_out is not None

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        """All rows once, in batches of like length and random order."""
        lesson = self.lesson
        size = 0 if lesson.batch_tokens else lesson.batch_size
        for rows in buckets(self.lengths, batch_size=size, batch_tokens=lesson.batch_tokens, rng=rng):
            yield self.training.chunk(rows, lesson.bpe_dropout, rng)

    def loss(self, network: TranslateNetwork, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """Mean over the real tokens of a chunk."""
        losses = _losses(network, chunk, self.lesson.label_smoothing, self.lesson.scheduled_sampling)
        return losses.mean(), state

    def validate(self, network: TranslateNetwork) -> float:
        """Nats per target token of the held-out rows."""
        assert self.held_out is not None
        total, count = 0.0, 0
        for rows in buckets(self.held_out.lengths, batch_tokens=_SCORED_AT_ONCE):
            losses = _losses(network, self.held_out.chunk(rows))
            total, count = total + float(losses.sum()), count + len(losses)
        return total / count


def _losses(network: TranslateNetwork, chunk: Chunk, smoothing: float = 0.0, guessed: float = 0.0) -> Tensor:
    """The loss [N] of every real target token."""
    source, source_lengths, tokens = chunk.inputs
    lengths, source_lengths = chunk.weight.sum(1).long(), source_lengths.squeeze(1)
    if guessed:
        tokens = network.with_own_guesses(source, source_lengths, tokens, lengths, guessed)
    features = network.features(source, source_lengths, tokens, lengths)
    real = chunk.weight > 0
    return token_loss(network.writer.readout(features[real]), chunk.target[real], smoothing)
