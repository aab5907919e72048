"""Scores of classifiers beside their baselines, and what the report says of calibration and classes."""

from __future__ import annotations

import numpy as np
import pytest
from classify_rows import curves, reviews, topics

import statewise as sw
from statewise.core.errors import DataError
from statewise.evaluation.classify import details
from statewise.training.config import TrainConfig

QUICK = TrainConfig(epochs=8, batch_size=16, learning_rate=1e-2, validate_every=20)


def fitted(data: dict, seed: int = 0, members: int = 1, **settings):
    task = sw.Classify(**{"subwords": 50, "embedding_size": 8, **settings})
    train = TrainConfig(**{**QUICK.__dict__, "seed": seed})
    return sw.fit(task, data, hidden_size=8, train=train, members=members, progress=False)


@pytest.fixture(scope="module")
def models():
    return [fitted(reviews(200), seed, members=2) for seed in (0, 1)]


def test_seeds_beside_the_majority_and_a_linear_model(models):
    pytest.importorskip("sklearn")
    report = sw.evaluate(models, reviews(80, seed=5), train=reviews(200))
    assert list(report.systems) == ["majority", "naive Bayes linear", "model"]
    assert report.value("accuracy") > 0.9 > report.value("accuracy", "majority")
    assert report.value("accuracy", "naive Bayes linear") > 0.95
    assert len(report.systems["model"]["auc_pr"]) == 2
    text = str(report)
    assert "80 rows, 2 seeds" in text
    assert "Calibration: ECE" in text
    assert "The model averages 2 networks; one alone: accuracy" in text
    assert "label  precision  recall     f1   rows   predicted as" in text


def test_without_training_rows_the_majority_is_known(models):
    report = sw.evaluate(models[0], reviews(50, seed=5))
    assert list(report.systems) == ["majority", "model"]


def test_details_hold_the_confusion_table(models):
    found = details(models[0], reviews(50, seed=5))
    assert found.confusion is not None
    assert found.confusion.sum() == 50
    assert found.labels == ("neg", "pos")
    assert np.trace(found.confusion) / 50 == sw.evaluate(models[0], reviews(50, seed=5)).value("accuracy")


def test_curves_beside_a_neighbour():
    pytest.importorskip("sklearn")
    model = fitted(curves(60), values=["x", "y"])
    report = sw.evaluate(model, curves(30, seed=5), train=curves(60))
    assert list(report.systems) == ["majority", "linear on summaries", "1-NN DTW", "model"]
    assert report.value("accuracy", "1-NN DTW") > 0.9


def test_several_labels():
    pytest.importorskip("sklearn")
    model = fitted(topics(200), label="tags", multi_label=True)
    report = sw.evaluate(model, topics(60, seed=5), train=topics(200))
    assert report.metrics[0].name == "f1_macro"
    assert report.value("f1_macro", "naive Bayes linear") > report.value("f1_macro", "majority")


def test_long_texts_are_named():
    model = fitted(reviews(60), max_length=3, keep="tail")
    notes = sw.evaluate(model, reviews(50, seed=5)).notes
    assert any("sequences are longer than 3 steps: of these the tail is read." in note for note in notes)


def test_a_label_that_was_not_trained_on(models):
    with pytest.raises(DataError) as error:
        sw.evaluate(models[0], {"text": ["x"], "label": ["odd"]})
    assert str(error.value).startswith("label: 'odd' is not among the labels of the training rows (row 0).")
