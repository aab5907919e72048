"""The law for causal classifiers of tokens and numbers; both forms answer whole sequences alike."""

from __future__ import annotations

import pytest
import torch
from classify_rows import curves, reviews

from statewise.nn.backbone import BackboneConfig
from statewise.rows.subwords import WIDTH
from statewise.tasks.classifier import LiveClassifier, classifier
from statewise.tasks.classify import Classify
from statewise.tasks.classify_problem import batch_of
from statewise.testing import check_recurrence

SMALL = BackboneConfig("lstm", 8, 1)
POOLING = ("max", "mean", "attention", "last")


def made(task: Classify, data: dict, backbone: BackboneConfig = SMALL):
    """The codec and the network of a task, in evaluation mode."""
    codec = task.codec(task.rows(data))
    return codec, task.network(codec, backbone).eval()


def text_task(**settings) -> Classify:
    return Classify(**{"subwords": 40, "embedding_size": 6, "pooling": POOLING, **settings})


@pytest.mark.parametrize("cell", ["lstm", "gru", "mingru"])
def test_the_law_of_texts(cell):
    task = text_task(bidirectional=False)
    codec, _ = made(task, reviews(20))
    size = codec.reader.tokenizer.size

    def draw(batch: int, time: int):
        return torch.randint(1, size, (batch, time)), torch.randint(0, 40, (batch, time, WIDTH))

    backbone = BackboneConfig(cell, 8, 2)
    check_recurrence(lambda: LiveClassifier([task.network(codec, backbone).eval()], False), draw)


def test_the_law_of_tokens_alone_and_of_numbers():
    task = text_task(subwords=0, bidirectional=False)
    codec, _ = made(task, reviews(20))
    size = codec.reader.tokenizer.size
    check_recurrence(lambda: task.network(codec, SMALL).eval(), lambda b, t: torch.randint(1, size, (b, t)))
    numbers = Classify(values=["x", "y"], bidirectional=False, pooling=POOLING)
    read, _ = made(numbers, curves(10))

    def draw(batch: int, time: int):
        x = torch.randn(batch, time, 2)
        return torch.where(torch.rand(x.shape) < 0.3, torch.nan, x)

    check_recurrence(lambda: numbers.network(read, SMALL).eval(), draw)


def test_the_law_of_several_members_with_several_labels():
    task = text_task(subwords=0, bidirectional=False)
    codec, _ = made(task, reviews(20))
    size = codec.reader.tokenizer.size

    def both() -> LiveClassifier:
        return classifier([task.network(codec, SMALL) for _ in range(2)], True).eval()

    check_recurrence(both, lambda b, t: torch.randint(1, size, (b, t)))


def test_whole_texts_end_where_the_live_form_ends():
    torch.manual_seed(0)
    codec, network = made(text_task(bidirectional=False), reviews(20))
    x, lengths = batch_of(codec.encode(Classify().rows(reviews(5, seed=1))))
    running, _ = network(x, None, lengths)
    last = running[torch.arange(5), lengths - 1]
    torch.testing.assert_close(network.logits(x, lengths), last)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_text_is_read_the_same_in_any_batch(bidirectional):
    torch.manual_seed(0)
    codec, network = made(text_task(bidirectional=bidirectional), reviews(20))
    arrays = codec.encode(Classify().rows(reviews(6, seed=1)))
    together = network.logits(*batch_of(arrays))
    alone = torch.cat([network.logits(*batch_of([one])) for one in arrays])
    torch.testing.assert_close(together, alone)


def test_the_last_of_both_directions():
    """With "last" alone the first word reaches the answer from the end, the last word from the start."""
    torch.manual_seed(0)
    task = text_task(pooling=("last",), subwords=0)
    _, network = made(task, reviews(20), BackboneConfig("lstm", 8, 1, residual=False))
    ids = torch.tensor([[5, 6, 7, 8]])
    y = network.backbone(network.front(ids), torch.tensor([4]))
    pooled = network.pooling.end(y, torch.tensor([4]), backward=4)
    torch.testing.assert_close(pooled, torch.cat((y[:, 3, :4], y[:, 0, 4:]), dim=1))


def test_word_dropout_hides_the_spelling_too():
    torch.manual_seed(0)
    codec, network = made(text_task(word_dropout=0.5, locked_dropout=0.0), reviews(20))
    (ids, spelling), _ = batch_of(codec.encode(Classify().rows(reviews(30, seed=1))))
    vectors = network.train().front((ids, spelling))
    gone = (vectors == 0).all(dim=-1)[ids > 0].float().mean()
    assert 0.3 < gone < 0.7
