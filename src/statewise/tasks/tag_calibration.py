"""Probabilities that mean what they say: a temperature, and the threshold of spans, from held-out rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from statewise.metrics.classification import expected_calibration_error
from statewise.metrics.tagging import scores_of
from statewise.nn.crf import marginals, posterior, tempered
from statewise.nn.crf_spans import ScoredSpan, chosen
from statewise.rows.tag import TagCodec
from statewise.rows.text.platt import Platt, fit_platt
from statewise.rows.text.spans import Span, spans
from statewise.tasks.tag_network import LiveTagger, Scores, Tagger
from statewise.tasks.tag_problem import Sentences
from statewise.tasks.tagging import candidates, scored

_RANGE = (0.25, 4.0)
_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_ROUNDS = 12  # of golden-section search: the temperature to about 1 %
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 15))
_UNKNOWN = 0.5  # where no threshold finds anything right

Batch = tuple[Scores, Tensor, list[NDArray[np.int64]]]  # scores, lengths, labels


def calibrated(
    network: Tagger | LiveTagger, codec: TagCodec, held_out: Sentences
) -> tuple[TagCodec, dict[str, Any]]:
    """Sets the network's temperature; gives the codec with its threshold, and a record of both.

    The temperature divides all scores of the random field (Guo et al. 2017, here for its marginals): it is
    the one under which the held-out tokens' labels are likeliest. The probabilities of spans are corrected
    further (`span_platt`), and the threshold is that of the best F1.
    """
    network.temperature.fill_(1.0)
    batches = [
        (scores, lengths, [held_out.labels[row] for row in rows])
        for rows, scores, lengths in scored(network, held_out.words)
    ]
    best = minimum(lambda temperature: _nats(batches, temperature), *_RANGE)
    record: dict[str, Any] = {"temperature": best}
    for when, temperature in (("before", 1.0), ("after", best)):
        right, sure = _judged(batches, temperature)
        record[f"ece_{when}"] = expected_calibration_error(right, sure)
        record[f"nats_{when}"] = _nats(batches, temperature)
    network.temperature.fill_(best)
    if codec.learned == "none":
        return codec, record
    wanted = [spans([codec.names[label] for label in labels]) for labels in held_out.labels]
    found = candidates(network, codec, held_out.words)
    platt = span_platt(found, wanted)
    corrected = [[ScoredSpan(span, platt.after(p)) for span, p in sentence] for sentence in found]
    threshold, f1 = best_threshold(corrected, wanted)
    return (
        replace(codec, threshold=threshold, platt=platt),
        {**record, "platt": list(platt), "threshold": threshold, "f1": f1},
    )


def span_platt(found: Sequence[Sequence[ScoredSpan]], wanted: Sequence[Sequence[Span]]) -> Platt:
    """The correction of span probabilities by which of the spans that could be answered were right.

    The temperature suits tokens, and most of them are outside of any span: it may be off for the spans.
    """
    found = [chosen(sentence, 0.0) for sentence in found]
    pairs = [
        (p, span in set(own)) for sentence, own in zip(found, wanted, strict=True) for span, p in sentence
    ]
    return fit_platt([p for p, _ in pairs], [right for _, right in pairs])


def best_threshold(
    found: Sequence[Sequence[ScoredSpan]], wanted: Sequence[Sequence[Span]]
) -> tuple[float, float]:
    """The threshold of span probability whose answers reach the highest F1, and that F1.

    Where a model is unsure, it lies far below one half: about half of the F1 that can be had (Lipton, Elkan
    and Naryanaswamy 2014).
    """
    f1 = {}
    for threshold in THRESHOLDS:
        answers = [[each.span for each in chosen(sentence, threshold)] for sentence in found]
        f1[threshold] = scores_of(wanted, answers).overall.f1
    best = max(THRESHOLDS, key=lambda threshold: (f1[threshold], threshold))
    return (best, f1[best]) if f1[best] else (_UNKNOWN, 0.0)


def minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is smallest, by golden-section search of the logarithm."""
    a, b = math.log(low), math.log(high)
    c, d = b - _GOLDEN * (b - a), a + _GOLDEN * (b - a)
    at_c, at_d = function(math.exp(c)), function(math.exp(d))
    for _ in range(_ROUNDS):
        if at_c < at_d:
            b, d, at_d = d, c, at_c
            c = b - _GOLDEN * (b - a)
            at_c = function(math.exp(c))
        else:
            a, c, at_c = c, d, at_d
            d = a + _GOLDEN * (b - a)
            at_d = function(math.exp(d))
    return math.exp((a + b) / 2)


def _nats(batches: Sequence[Batch], temperature: float) -> float:
    """Mean negative log-probability of the tokens' labels."""
    parts = [np.log(np.maximum(_own(batch, temperature), 1e-12)) for batch in batches]
    return -float(np.concatenate(parts).mean())


def _own(batch: Batch, temperature: float) -> NDArray[np.float64]:
    """The probability of every token's true label."""
    found = _marginals(batch, temperature)
    parts = [row[np.arange(len(labels)), labels] for row, labels in zip(found, batch[2], strict=True)]
    return np.concatenate(parts)


def _judged(batches: Sequence[Batch], temperature: float) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Of every token whether its likeliest label is right, and how likely that is."""
    right, sure = [], []
    for batch in batches:
        for row, labels in zip(_marginals(batch, temperature), batch[2], strict=True):
            right.append(row.argmax(1) == labels)
            sure.append(row.max(1))
    return np.concatenate(right), np.concatenate(sure)


def _marginals(batch: Batch, temperature: float) -> list[NDArray[np.float64]]:
    (emissions, chain), lengths, labels = batch
    after = posterior(emissions / temperature, tempered(chain, temperature), lengths)
    made = marginals(after, lengths).double().numpy()
    return [row[: len(own)] for row, own in zip(made, labels, strict=True)]
