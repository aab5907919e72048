"""The linear model of runs of tokens: its best answer, and a classifier that has it beside its networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from classify_rows import reviews, topics

from statewise.core.errors import ConfigError
from statewise.nn.backbone import BackboneConfig
from statewise.rows.text.n_grams import log_count_ratios
from statewise.tasks.classifier import EVEN, Mixture, classifier
from statewise.tasks.classify import Classify
from statewise.tasks.classify_problem import LossConfig, batch_of, logits_of, loss_of
from statewise.tasks.classify_wide import fit_scores
from statewise.testing import check_recurrence

SMALL = BackboneConfig("gru", 6, 1)


def fitted(task: Classify, data: dict, loss: LossConfig):
    rows = task.rows(data)
    codec, wide = (found := task.codec(rows)), task.wide(found)
    arrays, target = codec.encode(rows), codec.target(rows)
    fit_scores(wide, codec.runs, [ids for ids, *_ in arrays], target, loss)
    return codec, wide, arrays, target


def test_it_is_the_best_linear_model_under_its_prior():
    pytest.importorskip("sklearn")
    from sklearn.linear_model import LogisticRegression

    task = Classify(subwords=0, n_grams=2)
    codec, wide, arrays, target = fitted(task, reviews(80), LossConfig((1.0, 1.0)))
    numbers = [codec.runs.numbers(ids) for (ids,) in arrays]
    size = codec.runs.size
    ratios = log_count_ratios(numbers, target[:, None] == np.arange(2), size)
    counts = np.stack([np.bincount(each.ravel(), minlength=size) for each in numbers]).astype(float)
    counts[:, 0] = 0.0
    # Of two labels only the difference of the logits tells: each run has a weight in either.
    scaled = np.concatenate((-counts * ratios[:, 0], counts * ratios[:, 1]), axis=1)
    found = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit(scaled, target).decision_function(scaled)
    logits = logits_of(wide, arrays)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], found, atol=0.02)


def test_several_labels():
    loss = LossConfig((1.0, 1.0), multi_label=True)
    task = Classify(label="tags", multi_label=True, subwords=0, n_grams=1)
    _, wide, arrays, target = fitted(task, topics(200), loss)
    logits = torch.from_numpy(logits_of(wide, arrays))
    assert ((logits.numpy() > 0) == (target > 0.5)).mean() > 0.98
    assert float(loss_of(logits, torch.from_numpy(target), loss)) < 0.3


def test_weights_of_labels_count_here_too():
    data = reviews(60)
    _, _, arrays, _ = fitted(Classify(subwords=0, n_grams=1), data, LossConfig((1.0, 1.0)))
    mean = [
        float(
            np.diff(logits_of(fitted(Classify(subwords=0, n_grams=1), data, LossConfig(w))[1], arrays)).mean()
        )
        for w in ((1.0, 1.0), (1.0, 20.0))
    ]
    assert mean[1] > mean[0]


@pytest.mark.parametrize("subwords", [0, 30])
def test_the_law_of_networks_and_runs_together(subwords):
    task = Classify(subwords=subwords, embedding_size=6, n_grams=3, bidirectional=False)
    codec, *_ = fitted(task, reviews(30), LossConfig((1.0, 1.0)))
    size = codec.reader.tokenizer.size

    def make():
        wide = task.wide(codec)
        torch.nn.init.normal_(wide.weight)
        return classifier([task.network(codec, SMALL) for _ in range(2)], False, wide).eval()

    def draw(batch: int, time: int):
        ids = torch.randint(1, size, (batch, time))
        return (ids, torch.randint(0, 30, (batch, time, 24))) if subwords else ids

    check_recurrence(make, draw)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_share_of_none_and_of_all(bidirectional):
    torch.manual_seed(0)
    task = Classify(subwords=0, embedding_size=6, n_grams=2, bidirectional=bidirectional)
    codec, wide, arrays, _ = fitted(task, reviews(30), LossConfig((1.0, 1.0)))
    both = classifier([task.network(codec, SMALL)], False, wide).eval()
    inputs = batch_of(arrays[:4])
    for share, part in ((0.0, both.networks[0]), (1.0, wide)):
        both.mixture.share.fill_(share)
        torch.testing.assert_close(both.logits(*inputs), part.logits(*inputs))


def test_a_mixture_without_runs_stores_no_share():
    assert set(Mixture(False).state_dict()) == {"temperature"}
    assert Mixture(False, wide=True).state_dict()["share"] == EVEN


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_grams": -1}, "n_grams: got -1, want 0 or more."),
        ({"n_gram_count": 0}, "n_gram_count: got 0, want 1 or more."),
        (
            {"n_grams": 2, "values": ["x"]},
            "n_grams: got 2 with values, want 0: numbers have no runs to count.",
        ),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ConfigError) as error:
        Classify(**settings)
    assert str(error.value) == message
