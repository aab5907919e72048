"""Golden tests against scikit-learn, hand-computed cases, and what is not defined."""

from __future__ import annotations

import math

import numpy as np
import pytest

from statewise.metrics import classification as metrics


@pytest.fixture(scope="module")
def sample():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(400, 4))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return rng.integers(4, size=400), probabilities


@pytest.fixture(scope="module")
def labels():
    rng = np.random.default_rng(1)
    return (rng.random((300, 5)) < 0.3).astype(int), np.round(rng.random((300, 5)), 2)  # with ties


def test_scores_of_classes_equal_scikit_learn(sample):
    sk = pytest.importorskip("sklearn.metrics")
    actual, probabilities = sample
    predicted = probabilities.argmax(axis=1)
    table = metrics.confusion(actual, predicted, 4)
    assert (table == sk.confusion_matrix(actual, predicted)).all()
    precision, recall, f1, support = sk.precision_recall_fscore_support(actual, predicted)
    found = metrics.per_class(table)
    for got, want in zip(found, (precision, recall, f1, support), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)
    assert metrics.f1_macro(found) == pytest.approx(sk.f1_score(actual, predicted, average="macro"))
    assert metrics.accuracy(actual, predicted) == pytest.approx(sk.accuracy_score(actual, predicted))
    assert metrics.log_loss(actual, probabilities) == pytest.approx(sk.log_loss(actual, probabilities))


def test_scores_of_labels_equal_scikit_learn(labels):
    sk = pytest.importorskip("sklearn.metrics")
    relevant, scores = labels
    chosen = (scores > 0.6).astype(int)
    precision, recall, f1, support = sk.precision_recall_fscore_support(relevant, chosen)
    found = metrics.per_label(relevant, chosen)
    for got, want in zip(found, (precision, recall, f1, support), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-12)
    assert metrics.f1_micro(relevant, chosen) == pytest.approx(sk.f1_score(relevant, chosen, average="micro"))
    assert metrics.accuracy(relevant, chosen) == pytest.approx(sk.accuracy_score(relevant, chosen))
    want = sk.average_precision_score(relevant, scores, average="macro")
    assert metrics.auc_pr_macro(relevant, scores) == pytest.approx(want)
    one = sk.average_precision_score(relevant[:, 0], scores[:, 0])
    assert metrics.auc_pr(relevant[:, 0], scores[:, 0]) == pytest.approx(one)
    clipped = np.clip(scores, 0.01, 0.99)
    flat = sk.log_loss(relevant.ravel(), np.stack((1 - clipped.ravel(), clipped.ravel()), axis=1))
    assert metrics.binary_log_loss(relevant, clipped) == pytest.approx(flat)


def test_brier_equals_scikit_learn(sample):
    sk = pytest.importorskip("sklearn.metrics")
    actual, probabilities = sample
    yes, made = (actual == 1).astype(int), probabilities[:, 1]
    both = np.stack((1 - made, made), axis=1)
    assert metrics.brier(yes, both) == pytest.approx(2 * sk.brier_score_loss(yes, made))


def test_calibration_error_by_hand():
    # Two bins of ten: 0.85 sure and 0.5 right, 0.95 sure and right: (2 · 0.35 + 1 · 0.05) / 3.
    error = metrics.expected_calibration_error([1, 0, 1], [0.85, 0.85, 0.95], bins=10)
    assert error == pytest.approx((2 * 0.35 + 0.05) / 3)


def test_bins_hold_every_row_once():
    found = metrics.reliability([1, 0, 1, 1], [0.0, 0.2, 0.2000001, 1.0], bins=5)
    assert found.rows.tolist() == [2, 1, 0, 0, 1]  # an edge belongs to the bin below
    assert math.isnan(found.accuracy[2])


def test_probabilities_that_say_what_happens_have_no_calibration_error():
    rng = np.random.default_rng(2)
    sure = rng.random(200_000)
    assert metrics.expected_calibration_error(rng.random(200_000) < sure, sure) < 0.01


def test_a_class_that_is_neither_there_nor_predicted_is_not_scored():
    found = metrics.per_class(metrics.confusion([0, 0, 1], [0, 1, 1], 3))
    assert math.isnan(found.f1[2])
    assert metrics.f1_macro(found) == pytest.approx(2 / 3)


def test_an_impossible_answer_costs_much_but_not_infinitely():
    assert metrics.log_loss([1], [[1.0, 0.0]]) == pytest.approx(-math.log(metrics.TINY))


@pytest.mark.parametrize(
    "score",
    [
        lambda: metrics.accuracy([], []),
        lambda: metrics.log_loss([], np.zeros((0, 2))),
        lambda: metrics.brier([], np.zeros((0, 2))),
        lambda: metrics.binary_log_loss(np.zeros((0, 2)), np.zeros((0, 2))),
        lambda: metrics.expected_calibration_error([], []),
        lambda: metrics.auc_pr([0, 0], [0.1, 0.2]),
        lambda: metrics.auc_pr_macro([[0], [0]], [[0.1], [0.2]]),
        lambda: metrics.f1_micro([[0]], [[0]]),
        lambda: metrics.f1_macro(metrics.per_class(np.zeros((2, 2)))),
    ],
)
def test_nothing_to_score_is_nan(score):
    assert math.isnan(score())
