"""From probabilities to labels: likeliest, cheapest, sure enough."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import BundleError
from statewise.rows.decision import Decision, sure_enough


def test_the_likeliest():
    assert Decision().choose([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]]).tolist() == [1, 0]


def test_the_cheapest():
    # To miss class 1 costs five times as much: it is called at 1/6 already.
    costs = ((0.0, 1.0), (5.0, 0.0))
    chosen = Decision(costs=costs).choose([[0.83, 0.17], [0.84, 0.16]])
    assert chosen.tolist() == [1, 0]


def test_costs_of_one_are_the_likeliest():
    rng = np.random.default_rng(0)
    made = rng.dirichlet(np.ones(4), size=50)
    costs = tuple(tuple(float(i != j) for j in range(4)) for i in range(4))
    assert (Decision(costs=costs).choose(made) == made.argmax(axis=1)).all()


def test_a_positive_that_must_be_sure():
    decision = Decision(positive=2, thresholds=(0.7,))
    assert decision.choose([[0.1, 0.2, 0.7], [0.2, 0.15, 0.65]]).tolist() == [2, 0]


def test_several_labels():
    decision = Decision(multi_label=True)
    assert decision.choose([[0.5, 0.4]]).tolist() == [[True, False]]
    strict = Decision(multi_label=True, thresholds=(0.9, 0.1))
    assert strict.choose([[0.5, 0.4]]).tolist() == [[False, True]]


def test_a_threshold_by_precision():
    # By falling probability: right, right, wrong, right, wrong.
    there, made = [1, 1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5]
    assert sure_enough(there, made, 0.75) == (pytest.approx(0.55), 0.75)
    assert sure_enough(there, made, 1.0) == (pytest.approx(0.75), 1.0)
    assert sure_enough(there, made, 0.0) == (pytest.approx(0.25), 0.6)


def test_a_precision_that_is_never_reached_takes_the_best_there_is():
    threshold, reached = sure_enough([0, 1, 0], [0.9, 0.8, 0.7], 0.9)
    assert (threshold, reached) == (pytest.approx(0.75), 0.5)


def test_no_relevant_row():
    threshold, reached = sure_enough([0, 0], [0.2, 0.9], 0.5)
    assert threshold == 1.0
    assert np.isnan(reached)


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.25, 0.5, 0.75, 0.9])), min_size=1),
    st.sampled_from([0.3, 0.5, 0.8, 1.0]),
)
def test_what_passes_is_as_right_as_said(rows, precision):
    there, made = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    threshold, reached = sure_enough(there, made, precision)
    if there.any():
        passed = there[made >= threshold]
        assert passed.mean() == pytest.approx(reached)
        looser = [there[made >= level].mean() for level in np.unique(made) if level < threshold]
        assert reached < precision or all(share < precision for share in looser)


@pytest.mark.parametrize(
    "decision",
    [
        Decision(),
        Decision(costs=((0.0, 1.0), (2.0, 0.0))),
        Decision(positive=1, thresholds=(0.3,)),
        Decision(multi_label=True, thresholds=(0.3, 0.4)),
    ],
)
def test_round_trip(decision):
    assert Decision.from_json(decision.to_json(), 2) == decision


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"costs": [[0.0, 1.0]]}, "decision: its costs or thresholds do not fit 2 labels."),
        ({"thresholds": [0.1, 0.2]}, "decision: its costs or thresholds do not fit 2 labels."),
        ({"positive": 2}, "decision: no label number 2 among 2."),
        ({"odd": 1}, "decision: want multi_label, costs, positive and thresholds."),
        ({"thresholds": ["x"]}, "decision: could not convert string to float: 'x'."),
    ],
)
def test_foreign_values(change, message):
    with pytest.raises(BundleError) as error:
        Decision.from_json(Decision().to_json() | change, 2)
    assert str(error.value) == message
