"""Span probabilities against brute force: every legal label sequence written out, in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from statewise.nn.crf import ILLEGAL, Chain, Legality, Transitions, path_score, posterior
from statewise.nn.crf_spans import Lattice, ScoredSpan, chosen, lattices, likely_spans, span_probability
from statewise.rows.text.spans import Scheme, Span, legality, scheme_labels, spans

LENGTHS = torch.tensor([4, 1, 2])


def field(scheme: Scheme, seed: int = 0) -> tuple[list[str], Tensor, Chain]:
    torch.manual_seed(seed)
    labels = scheme_labels(["a", "b"], scheme)
    transitions = Transitions(len(labels), Legality(*legality(labels, scheme))).double()
    for weight in transitions.parameters():
        torch.nn.init.normal_(weight)
    emissions = torch.randn(3, 4, len(labels), dtype=torch.float64)
    with torch.no_grad():
        return labels, emissions, transitions()


def written_out(labels: list[str], emissions: Tensor, chain: Chain, length: int) -> dict[Span, float]:
    """The probability of every span, by the sum over all sequences that hold it."""
    found: dict[Span, float] = {}
    total = 0.0
    for path in itertools.product(range(len(labels)), repeat=length):
        one = torch.tensor([path])
        score = path_score(emissions[None, :length], one, chain, torch.tensor([length])).item()
        if score < ILLEGAL / 2:
            continue
        total += np.exp(score)
        for span in spans([labels[k] for k in path]):
            found[span] = found.get(span, 0.0) + np.exp(score)
    return {span: weight / total for span, weight in found.items()}


def sentences(emissions: Tensor, chain: Chain) -> list[Lattice]:
    return lattices(emissions, chain, posterior(emissions, chain, LENGTHS), LENGTHS)


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_every_span_of_every_sentence(scheme: Scheme) -> None:
    labels, emissions, chain = field(scheme)
    for row, lattice in enumerate(sentences(emissions, chain)):
        want = written_out(labels, emissions[row], chain, int(LENGTHS[row]))
        got = likely_spans(lattice, labels, scheme, 1e-12)
        assert {each.span for each in got} == set(want)
        for span, probability in got:
            assert probability == pytest.approx(want[span], rel=1e-9)
            alone = span_probability(lattice, labels, scheme, span)
            assert alone == pytest.approx(want[span], rel=1e-9)
        assert [each.probability for each in got] == pytest.approx(sorted(want.values(), reverse=True))


@pytest.mark.parametrize("scheme", ["bio", "bioes"])
def test_unlikely_spans_are_left_out_and_no_others(scheme: Scheme) -> None:
    labels, emissions, chain = field(scheme, seed=1)
    lattice = sentences(emissions, chain)[0]
    everything = likely_spans(lattice, labels, scheme, 1e-12)
    for least in (0.01, 0.1, 0.3):
        assert likely_spans(lattice, labels, scheme, least) == [
            s for s in everything if s.probability >= least
        ]


def test_a_span_that_cannot_be() -> None:
    labels, emissions, chain = field("bio")
    lattice = sentences(emissions, chain)[1]
    assert span_probability(lattice, labels, "bio", Span(0, 2, "a")) == 0.0  # longer than the sentence
    assert span_probability(lattice, labels, "bio", Span(0, 1, "c")) == 0.0  # no such type


def test_the_chosen_ones_do_not_overlap() -> None:
    found = [
        ScoredSpan(Span(0, 2, "a"), 0.4),
        ScoredSpan(Span(1, 3, "a"), 0.45),
        ScoredSpan(Span(3, 4, "b"), 0.2),
        ScoredSpan(Span(0, 1, "b"), 0.3),
    ]
    assert chosen(found, 0.25) == [found[3], found[1]]
    assert chosen(found, 0.2) == [found[3], found[1], found[2]]
    assert chosen(found, 0.5) == []
