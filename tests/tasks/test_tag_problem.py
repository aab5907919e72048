"""Tagging as a training problem: every sentence once, in an order that can be repeated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tag_rows import tag_rows

from statewise.nn.backbone import BackboneConfig
from statewise.nn.crf import log_likelihood
from statewise.recurrence import Recurrence
from statewise.tasks.tag import Tag
from statewise.tasks.tag_problem import Sentences, TagProblem
from statewise.training.order import initial_state


def problem(bidirectional: bool = True, batch_tokens: int = 60) -> TagProblem:
    torch.manual_seed(0)
    task = Tag(word_size=6, feature_size=2, filters=4, bidirectional=bidirectional)
    rows = task.rows(tag_rows(20))
    codec = task.codec(rows)
    sentences = Sentences(codec.encode(rows["tokens"]), codec.target(rows["labels"], rows.place))
    member = task.member(codec, BackboneConfig("gru", 6))
    return TagProblem(member, sentences, sentences, batch_size=4, batch_tokens=batch_tokens)


def test_an_epoch_holds_every_token_once_and_can_be_repeated() -> None:
    made = problem()
    first = list(made.epoch(np.random.default_rng(1)))
    again = list(made.epoch(np.random.default_rng(1)))
    assert sum(int(chunk.weight.sum()) for chunk in first) == sum(made.lengths)
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, again, strict=True))
    assert all(chunk.weight.numel() <= 60 for chunk in first)
    assert all(chunk.fresh and chunk.last for chunk in first)
    other = list(made.epoch(np.random.default_rng(2)))
    assert any(a.inputs.shape != b.inputs.shape for a, b in zip(first, other, strict=True))


def test_a_batch_of_rows_where_no_budget_of_tokens_is_set() -> None:
    assert {chunk.weight.shape[0] for chunk in problem(batch_tokens=0).epoch(np.random.default_rng(0))} == {4}


@pytest.mark.parametrize("bidirectional", [True, False])
def test_the_loss_is_the_mean_over_tokens(bidirectional: bool) -> None:
    made = problem(bidirectional)
    network = made.network.eval()
    chunk = next(made.epoch(np.random.default_rng(0)))
    loss, _ = made.loss(network, chunk, initial_state(network, len(chunk.weight)))
    lengths = chunk.weight.sum(1).long()
    if isinstance(network, Recurrence):
        emissions, _ = network(chunk.inputs, None, lengths)
    else:
        emissions = network(chunk.inputs, lengths)
    found = log_likelihood(emissions, chunk.target, network.readout.transitions(), lengths)
    torch.testing.assert_close(loss, -found.sum() / lengths.sum())
    with torch.no_grad():
        whole = made.validate(network)
    total = count = 0.0
    for each in made.epoch(np.random.default_rng(0)):
        loss, _ = made.loss(network, each, initial_state(network, len(each.weight)))
        total, count = total + loss.item() * float(each.weight.sum()), count + float(each.weight.sum())
    assert whole <= total / count * (1 + 1e-6)  # at temperature 1
    with torch.no_grad():
        cold = made.validate(_heated(made.network, 1.4))
    assert cold <= total / count * (1 + 1e-5)  # which 1 / 1.4 of the scores can be undone to


def _heated(network: torch.nn.Module, by: float) -> torch.nn.Module:
    """The network with all its scores `by` times as large."""
    for name, weight in network.named_parameters():
        if name.startswith(("readout.head", "readout.transitions")):
            weight.mul_(by)
    return network
