"""Readouts over a vocabulary: probabilities that are some, losses that are theirs, in bounded memory."""

from __future__ import annotations

import pytest
import torch

from statewise.core.errors import ConfigError
from statewise.nn import vocabulary_readout
from statewise.nn.embedding import TokenEmbedding
from statewise.nn.vocabulary_readout import (
    AdaptiveSoftmax,
    FullSoftmax,
    TiedAdaptiveSoftmax,
    VocabularyReadout,
    check_cutoffs,
)


def readouts() -> list[VocabularyReadout]:
    torch.manual_seed(0)
    embedding = TokenEmbedding(50, 8)
    return [
        FullSoftmax(8, embedding),
        FullSoftmax(6, embedding, tied=True),
        FullSoftmax(8, embedding, tied=False),
        AdaptiveSoftmax(8, 50, (10, 30)),
        AdaptiveSoftmax(8, 50, (10, 999)),
        TiedAdaptiveSoftmax(8, embedding, (10, 30)),
        TiedAdaptiveSoftmax(6, embedding, (1, 49, 999)),
    ]


@pytest.mark.parametrize("which", range(7))
def test_losses_are_those_of_the_probabilities(which: int) -> None:
    readout = readouts()[which]
    x = torch.randn(2, 7, 6 if which in (1, 6) else 8)
    target = torch.randint(50, (2, 7))
    log_probs = readout(x)
    assert log_probs.shape == (2, 7, 50)
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(2, 7), atol=1e-5)
    want = -log_probs.gather(2, target.unsqueeze(2)).squeeze(2)
    assert torch.allclose(readout.losses(x, target), want, atol=1e-5)


def test_groups_are_those_of_torch() -> None:
    readout, x = AdaptiveSoftmax(8, 50, (10, 30)), torch.randn(4, 8)
    assert torch.allclose(readout(x), readout.groups.log_prob(x), atol=1e-6)


@pytest.mark.parametrize("input_size", [8, 6])
def test_tied_groups_score_with_the_rows_of_the_embedding(input_size: int) -> None:
    embedding = TokenEmbedding(50, 8).double()
    readout = TiedAdaptiveSoftmax(input_size, embedding, (10, 30)).double()
    torch.nn.init.normal_(readout.bias)
    x, target = torch.randn(40, input_size, dtype=torch.float64), torch.arange(40) % 50
    table, bias = embedding.weight, readout.bias
    y = x @ readout.project.weight.T
    entries = torch.cat((y @ table[:10].T + bias[:10], y @ readout.groups.T + readout.group_bias), dim=1)
    head = entries.log_softmax(1)
    parts = [head[:, :10]]
    for entry, (begin, end) in enumerate(((10, 30), (30, 50)), start=10):
        scores = y @ table[begin:end].T + bias[begin:end]
        parts.append(head[:, entry : entry + 1] + scores.log_softmax(1))
    dense = torch.cat(parts, dim=1)
    assert torch.allclose(readout(x), dense, atol=1e-12)
    losses, want = readout.losses(x, target), -dense.gather(1, target.unsqueeze(1)).squeeze(1)
    assert torch.allclose(losses, want, atol=1e-12)
    weights = [embedding.weight, *readout.parameters()]
    found, wanted = (torch.autograd.grad(each.sum(), weights) for each in (losses, want))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(found, wanted, strict=True))
    assert bool((found[0][4:40] != 0).any(dim=1).all())  # every row of a group that was met


def test_tied_groups_that_no_target_lies_in_are_left_alone() -> None:
    embedding = TokenEmbedding(50, 8)
    readout = TiedAdaptiveSoftmax(8, embedding, (10, 30))
    readout.losses(torch.randn(5, 8), torch.full((5,), 12)).sum().backward()
    assert embedding.weight.grad is not None
    assert bool((embedding.weight.grad[:30] != 0).any(dim=1).all())
    assert not bool(embedding.weight.grad[30:].any())
    # Both stand in one network: the table is saved and averaged once.
    assert all(weight is not embedding.weight for weight in readout.parameters())


def test_piece_by_piece_is_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    readout = readouts()[0]
    x, target = torch.randn(3, 7, 8, requires_grad=True), torch.randint(50, (3, 7))
    whole = readout.losses(x, target)
    gradient = torch.autograd.grad(whole.sum(), [x, *readout.parameters()])
    monkeypatch.setattr(vocabulary_readout, "LARGEST", 200)  # four rows of logits at once
    pieces = readout.losses(x, target)
    again = torch.autograd.grad(pieces.sum(), [x, *readout.parameters()])
    assert torch.allclose(whole, pieces, atol=1e-6)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(gradient, again, strict=True))


def test_cutoffs_are_checked() -> None:
    assert check_cutoffs([3, 9]) == (3, 9)
    with pytest.raises(ConfigError, match=r"^cutoffs: got \[9, 3\], want rising whole numbers above 0.$"):
        check_cutoffs([9, 3])
    with pytest.raises(ConfigError) as raised:
        AdaptiveSoftmax(8, 50, (60,))
    want = "cutoffs: got [60], want one below the 50 items of the vocabulary, or softmax='full'."
    assert str(raised.value) == want
