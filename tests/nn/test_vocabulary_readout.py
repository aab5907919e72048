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
    ]


@pytest.mark.parametrize("which", range(5))
def test_losses_are_those_of_the_probabilities(which: int) -> None:
    readout = readouts()[which]
    x = torch.randn(2, 7, 6 if which == 1 else 8)
    target = torch.randint(50, (2, 7))
    log_probs = readout(x)
    assert log_probs.shape == (2, 7, 50)
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(2, 7), atol=1e-5)
    want = -log_probs.gather(2, target.unsqueeze(2)).squeeze(2)
    assert torch.allclose(readout.losses(x, target), want, atol=1e-5)


def test_groups_are_those_of_torch() -> None:
    readout, x = AdaptiveSoftmax(8, 50, (10, 30)), torch.randn(4, 8)
    assert torch.allclose(readout(x), readout.groups.log_prob(x), atol=1e-6)


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
