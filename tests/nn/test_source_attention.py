"""Attention over a source: worked numbers, padding, empty sources, rows that share one."""

from __future__ import annotations

import math

import pytest
import torch

from statewise import state as states
from statewise.core.errors import ConfigError, ShapeError
from statewise.nn.source_attention import ATTENTIONS, AdditiveAttention, DotAttention, source_attention

NAMES = sorted(ATTENTIONS)


def test_dot_attention_by_hand() -> None:
    annotations = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    context, weights = DotAttention(2, 2)(
        torch.tensor([[[math.sqrt(2) * math.log(3), 0.0]]]), DotAttention(2, 2).source(annotations)
    )
    assert torch.allclose(weights, torch.tensor([[[0.75, 0.25]]]))
    assert torch.allclose(context, torch.tensor([[[0.75, 0.25]]]))


def test_additive_attention_is_bahdanaus() -> None:
    attention, query, annotations = AdditiveAttention(3, 4), torch.randn(2, 5, 3), torch.randn(2, 6, 4)
    context, weights = attention(query, attention.source(annotations))
    row, t = 1, 2
    scores = torch.stack(
        [
            attention.score(torch.tanh(attention.query(query[row, t]) + attention.key(annotation)))
            for annotation in annotations[row]
        ]
    )
    want = scores.squeeze(-1).softmax(0)
    assert torch.allclose(weights[row, t], want, atol=1e-6)
    assert torch.allclose(context[row, t], want @ annotations[row], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_not_read_and_takes_no_weight(name: str) -> None:
    attention, query = source_attention(name, 4, 4), torch.randn(2, 3, 4)
    annotations, lengths = torch.randn(2, 5, 4), torch.tensor([2, 5])
    poisoned = annotations.clone()
    poisoned[0, 2:] = torch.nan
    context, weights = attention(query, attention.source(poisoned, lengths))
    alone, _ = attention(query[:1], attention.source(annotations[:1, :2]))
    assert torch.allclose(context[:1], alone, atol=1e-6)
    assert (weights[0, :, 2:] == 0).all()
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3))


@pytest.mark.parametrize("name", NAMES)
def test_sources_of_different_lengths_meet_in_one_batch(name: str) -> None:
    attention = source_attention(name, 4, 4)
    short, long = (attention.source(torch.randn(1, steps, 4)) for steps in (2, 6))
    query = torch.randn(2, 3, 4)
    together, _ = attention(query, states.concat([short, long]))
    for row, source in enumerate((short, long)):
        alone, _ = attention(query[row : row + 1], source)
        assert torch.allclose(together[row : row + 1], alone, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_beams_share_the_source_of_their_sentence(name: str) -> None:
    attention = source_attention(name, 4, 4)
    source = attention.source(torch.randn(2, 5, 4), torch.tensor([5, 3]))
    query = torch.randn(6, 1, 4)
    copied = states.take(source, torch.tensor([0, 0, 0, 1, 1, 1]))
    for shared, own in zip(attention(query, source), attention(query, copied), strict=True):
        assert torch.allclose(shared, own, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_source_gives_a_context_of_zero(name: str) -> None:
    attention = source_attention(name, 4, 4)
    context, weights = attention(torch.randn(2, 3, 4), attention.empty(2, torch.zeros(())))
    assert context.shape == (2, 3, 4)
    assert weights.shape == (2, 3, 0)
    assert (context == 0).all()


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        source_attention("dot", 4, 6)
    want = (
        "attention: 'dot' compares queries of 4 numbers with annotations of 6: want one size, or 'general'."
    )
    assert str(error.value) == want
    with pytest.raises(ConfigError) as error:
        source_attention("aditive", 4, 4)
    assert str(error.value) == "attention: no such attention 'aditive'. Did you mean 'additive'?"
    attention = source_attention("general", 4, 4)
    with pytest.raises(ShapeError) as wrong:
        attention(torch.randn(3, 1, 4), attention.source(torch.randn(2, 5, 4)))
    assert str(wrong.value) == "source attention: got 3 rows of queries, want a multiple of 2 sources."
