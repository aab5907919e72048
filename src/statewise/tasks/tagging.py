"""What a trained tagger says of sentences: labels, how sure they are, spans, the n best."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from statewise.data.bucketing import buckets, pad
from statewise.nn.crf import Chain, marginals, posterior
from statewise.nn.crf_spans import Lattice, ScoredSpan, chosen, lattices, likely_spans, span_probability
from statewise.nn.viterbi import n_best
from statewise.ops.threads import is_small, one_thread
from statewise.rows.tag import TagCodec
from statewise.rows.text.spans import Scheme, labels_of, spans, to_bio
from statewise.tasks.tag_network import LiveTagger, Scores, Tagger

_TOKENS_AT_ONCE = 4000  # padding included
LEAST = 0.02  # no span below it is looked for


@dataclass(frozen=True)
class Wanted:
    """What to say beyond labels: the `n_best` label sequences; spans from `threshold` on (0: best path)."""

    n_best: int = 0
    threshold: float = 0.0


class Tagging(NamedTuple):
    """The answer for one sentence of T tokens."""

    labels: list[str]
    confidence: NDArray[np.float64]  # [T] the probability of each token's label
    probabilities: NDArray[np.float64]  # [T, G] of every label, as the codec tells of them
    spans: list[ScoredSpan]
    n_best: list[tuple[list[str], float]]  # label sequences and their probabilities


def tag(
    network: Tagger | LiveTagger, codec: TagCodec, words: Sequence[NDArray[np.int64]], wanted: Wanted
) -> list[Tagging]:
    """The answers for encoded sentences [T, W], in their order."""
    found: dict[int, Tagging] = {}
    for rows, scores, lengths in scored(network, words):
        after = posterior(*scores, lengths)
        paths, path_scores = n_best(*scores, lengths, max(wanted.n_best, 1))
        logs = path_scores - after.total.unsqueeze(1)
        each = marginals(after, lengths).double().numpy()
        held = lattices(*scores, after, lengths)
        for place, row in enumerate(rows):
            best = _sequences(codec, paths[place, :, : lengths[place]], logs[place])
            told = codec.told(each[place, : lengths[place]])
            found[row] = _tagging(codec, held[place], told, best, wanted)
    return [found[row] for row in range(len(words))]


@torch.no_grad()
def scored(
    network: Tagger | LiveTagger, words: Sequence[NDArray[np.int64]]
) -> Iterator[tuple[list[int], Scores, Tensor]]:
    """Sentences of like length, by their places: their scores in float64, and lengths."""
    for rows in buckets([len(row) for row in words], batch_tokens=_TOKENS_AT_ONCE):
        batch, lengths = pad([words[row] for row in rows])
        with one_thread(is_small(network)):
            emissions, chain = network.scores(batch, lengths)
        # In float64: over a long sentence the sums of float32 are off in the sixth place.
        double = Scores(emissions.double(), Chain(*(part.double() for part in chain)))
        yield rows.tolist(), double, lengths


def candidates(
    network: Tagger | LiveTagger, codec: TagCodec, words: Sequence[NDArray[np.int64]]
) -> list[list[ScoredSpan]]:
    """Every span of exact probability `LEAST` or more, sentence by sentence, the likeliest first."""
    found: dict[int, list[ScoredSpan]] = {}
    learned: Scheme = "bio" if codec.learned == "bio" else "bioes"
    for rows, scores, lengths in scored(network, words):
        held = lattices(*scores, posterior(*scores, lengths), lengths)
        for row, lattice in zip(rows, held, strict=True):
            found[row] = likely_spans(lattice, codec.names, learned, LEAST)
    return [found[row] for row in range(len(words))]


def _tagging(
    codec: TagCodec,
    lattice: Lattice,
    told: NDArray[np.float64],
    best: list[tuple[list[str], float]],
    wanted: Wanted,
) -> Tagging:
    labels, marked = best[0][0], list[ScoredSpan]()
    if codec.learned != "none":
        labels, marked = _spans(lattice, codec, codec.learned, labels, wanted.threshold)
    return Tagging(labels, _confidence(codec, told, labels), told, marked, best[: wanted.n_best])


def _sequences(codec: TagCodec, paths: Tensor, logs: Tensor) -> list[tuple[list[str], float]]:
    """The label sequences of one sentence and their probabilities, best first, without what is illegal."""
    pairs = zip(paths.tolist(), logs.tolist(), strict=True)
    return [(codec.decode(path), math.exp(log)) for path, log in pairs if log > -math.inf]


def _spans(
    lattice: Lattice, codec: TagCodec, learned: Scheme, labels: list[str], threshold: float
) -> tuple[list[str], list[ScoredSpan]]:
    """Labels and spans: those of the best path, or those that are likely enough."""
    names = codec.names
    if not threshold:
        path = spans(labels)
        exact = [ScoredSpan(s, span_probability(lattice, names, learned, s)) for s in path]
        return labels, _corrected(codec, exact)
    found = likely_spans(lattice, names, learned, codec.platt.before(threshold))
    likely = _corrected(codec, chosen(found, 0.0))
    scheme: Scheme = "bioes" if codec.given == "bioes" else "bio"
    return labels_of([each.span for each in likely], len(labels), scheme), likely


def _corrected(codec: TagCodec, found: Sequence[ScoredSpan]) -> list[ScoredSpan]:
    return [ScoredSpan(span, codec.platt.after(probability)) for span, probability in found]


def _confidence(codec: TagCodec, told: NDArray[np.float64], labels: list[str]) -> NDArray[np.float64]:
    """The probability of each token's label [T], taken from those told of [T, G]."""
    names, _ = codec.shown
    known = labels if codec.given == codec.learned or codec.given == "bio" else to_bio(labels)
    places = [names.index(label) for label in known]
    return told[np.arange(len(places)), places]
