"""The verdict in words: naive is the one to beat where nothing simple is surely better."""

from __future__ import annotations

import numpy as np
import pytest

from statewise.evaluation.answers import Answers, Questions
from statewise.evaluation.verdict import verdict

NOTHING = "Nothing here beats naive, the random walk, by more than noise."
SIGNS = np.resize([1.0, -1.0, -1.0, 1.0], 40)


def said(errors: dict[str, float], spread: dict[str, float], origins: int = 40) -> str:
    """The verdict on models whose error at each origin is `errors` ± `spread`."""
    actual = np.zeros((origins, 1, 1, 1))
    times = np.datetime64("2024-01-01", "s") + np.arange(origins) * np.timedelta64(3600, "s")
    questions = Questions(
        cutoffs=times,
        times=(times + np.timedelta64(3600, "s"))[:, None],
        series=("a",),
        targets=("y",),
        actual=actual,
        scale=np.ones((origins, 1, 1)),
        season_length=1,
    )
    answers = {}
    for name, error in errors.items():
        point = (error + spread.get(name, 0.0) * SIGNS[:origins]).reshape(actual.shape)
        answers[name] = Answers(point, np.empty((*actual.shape, 0)), (), 0.0)
    return verdict(questions, answers, ["statewise"], 1)


def test_a_baseline_better_than_naive_within_noise_is_not_the_one_to_use() -> None:
    text = said({"statewise": 1.5, "naive": 1.0, "drift": 0.999}, {"drift": 0.5})
    assert text.startswith("naive beats statewise by 50 %: use naive (MASE 1.5 against 1,")
    assert text.endswith(NOTHING)


def test_a_baseline_surely_better_than_naive_is() -> None:
    text = said({"statewise": 1.5, "naive": 1.0, "drift": 0.8}, {"drift": 0.05})
    assert text.startswith("drift beats statewise by 88 %: use drift (")
    assert NOTHING not in text


@pytest.mark.parametrize("better", ["statewise", "seasonal_naive"])
def test_too_few_origins_do_not_make_a_naive_that_is_far_worse_hard_to_beat(better: str) -> None:
    errors = {"statewise": 3.0, "seasonal_naive": 3.0, "naive": 2.0} | {better: 0.1}
    text = said(errors, {}, origins=2)
    assert NOTHING not in text
    rival = "seasonal_naive" if better == "seasonal_naive" else "naive"
    assert f"Too few origins to tell statewise from {rival}, the best baseline" in text


def test_a_model_that_beats_all_says_so() -> None:
    text = said({"statewise": 0.5, "naive": 1.0, "drift": 1.2}, {"statewise": 0.05})
    assert text.startswith("statewise beats naive, the best baseline, by 50 % (")
    assert NOTHING not in text
