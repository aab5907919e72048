"""The baselines of classifiers, against scikit-learn and worked cases."""

from __future__ import annotations

import numpy as np
import pytest

from statewise.evaluation import classify_baselines as baselines


def test_the_majority_says_how_often():
    made = baselines.majority(np.array([0, 1, 1, 1]), 2, 3)
    assert made.tolist() == [[0.25, 0.75, 0.0]] * 2
    several = baselines.majority(np.array([[1, 0], [1, 1]]), 1, 2)
    assert several.tolist() == [[1.0, 0.5]]


def test_a_linear_model_of_words_and_pairs():
    pytest.importorskip("sklearn")
    train = [s.split() for s in ("good film", "a good plot", "bad film", "so bad") * 5]
    target = np.array([1, 1, 0, 0] * 5)
    made = baselines.naive_bayes_linear(train, target, [["not", "bad"], ["good", "plot"]], 2)
    assert made.argmax(axis=1).tolist() == [0, 1]
    np.testing.assert_allclose(made.sum(axis=1), 1.0)


def test_the_ratio_is_that_of_wang_and_manning():
    """One label against the rest is scikit-learn's own regression on features scaled by r, eq. 2."""
    linear = pytest.importorskip("sklearn.linear_model")
    sparse = pytest.importorskip("scipy.sparse")
    x = np.array([[1, 0, 1], [1, 1, 0], [0, 1, 1], [0, 1, 0]])
    yes = np.array([True, True, False, False])
    p, q = 1 + x[yes].sum(axis=0), 1 + x[~yes].sum(axis=0)
    r = np.log((p / p.sum()) / (q / q.sum()))
    want = linear.LogisticRegression(C=1.0, solver="liblinear").fit(x * r, yes).decision_function(x * r)
    got = baselines._linear(sparse.csr_matrix(x), yes, sparse.csr_matrix(x), 1.0)
    np.testing.assert_allclose(got, want, rtol=1e-3)


def test_a_label_that_no_training_row_or_every_one_has():
    pytest.importorskip("sklearn")
    target = np.array([[1, 0, 1], [1, 0, 0], [1, 0, 1]])
    made = baselines.naive_bayes_linear([["a"], ["b"], ["a", "a"]], target, [["a"]], 3)
    assert made[0, 0] > 0.99
    assert made[0, 1] < 0.01
    lines = [np.array([[v], [v]]) for v in (0.0, 1.0, 2.0)]
    assert baselines.summary_linear(lines, target, lines, 3)[:, 0].min() > 0.99


def test_warping_by_hand():
    one = np.array([[0.0], [1.0], [2.0]])
    slow = np.array([[0.0], [0.0], [1.0], [2.0], [2.0]])
    high = np.array([[1.0], [2.0]])
    # 0 has to meet the 1 of `high`: cost 1, the rest fits.
    assert baselines.warped(one, [slow, high, one]).tolist() == [0.0, 1.0, 0.0]


def test_warping_equals_the_plain_recursion():
    rng = np.random.default_rng(0)
    lines = [rng.normal(size=(n, 2)) for n in (3, 5, 4)]

    def plain(a: np.ndarray, b: np.ndarray) -> float:
        table = np.full((len(a) + 1, len(b) + 1), np.inf)
        table[0, 0] = 0
        for i, x in enumerate(a, start=1):
            for j, y in enumerate(b, start=1):
                best = min(table[i - 1, j], table[i, j - 1], table[i - 1, j - 1])
                table[i, j] = ((x - y) ** 2).sum() + best
        return float(table[-1, -1])

    got = baselines.warped(lines[0], lines)
    np.testing.assert_allclose(got, [plain(lines[0], line) for line in lines])


def test_the_neighbour_takes_a_missing_value_as_the_mean():
    train = [np.array([[0.0], [1.0]]), np.array([[5.0], [5.0]])]
    made = baselines.nearest_neighbour(train, np.array([0, 1]), [np.array([[np.nan], [0.9]])], 2)
    assert made.argmax(axis=1).tolist() == [0]
    assert made.sum() == pytest.approx(1.0)


def test_cells_are_counted():
    lines = [np.zeros((3, 1)), np.zeros((4, 1))]
    assert baselines.alignment_cells(lines, lines) == 49
