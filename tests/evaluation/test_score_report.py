"""Scores beside baselines: table, spread and verdict."""

from __future__ import annotations

import pytest

from statewise.core.errors import ConfigError
from statewise.evaluation.evaluate import evaluate
from statewise.evaluation.score_report import Metric, ScoreReport, merged

METRICS = (Metric("accuracy"), Metric("log loss", higher_is_better=False, decimals=2))


def report(**baselines: float) -> ScoreReport:
    model = merged([{"accuracy": 0.80, "log loss": 0.5}, {"accuracy": 0.82, "log loss": 0.4}])
    systems = {"model": model, **{name: {"accuracy": (value,)} for name, value in baselines.items()}}
    return ScoreReport("classify", 1200, METRICS, systems, ("3 texts were cut at 100 tokens.",))


def test_the_table_has_a_row_per_system_and_the_spread_of_the_seeds() -> None:
    assert str(report(majority=0.5, linear=0.79)).splitlines() == [
        "classify: 1,200 rows, 2 seeds (± standard deviation)",
        "               accuracy     log loss",
        "model     0.810 ± 0.014  0.45 ± 0.07",
        "majority          0.500            –",
        "linear            0.790            –",
        "The model beats the best baseline (linear) by 0.020 in accuracy.",
        "3 texts were cut at 100 tokens.",
    ]


def test_a_model_behind_a_baseline_is_told_so() -> None:
    want = "The model does not beat the baseline 'linear': it is 0.040 behind in accuracy. Use that."
    assert report(majority=0.5, linear=0.85).verdict == want


def test_a_tie_goes_to_the_baseline() -> None:
    want = "The model only equals the baseline 'linear' in accuracy. Use that."
    assert report(majority=0.5, linear=0.8101).verdict == want


def test_lower_may_be_better() -> None:
    systems = {"model": {"perplexity": (90.0,)}, "5-gram": {"perplexity": (150.0,)}}
    found = ScoreReport("generate", 10, (Metric("perplexity", False, 1),), systems)
    assert found.verdict == "The model beats the best baseline (5-gram) by 60.0 in perplexity."
    assert found.to_mapping()["systems"] == {
        "model": {"perplexity": [90.0]},
        "5-gram": {"perplexity": [150.0]},
    }


def test_without_baselines_it_says_what_to_give() -> None:
    assert report().verdict == "No baseline stands beside it: give the training rows with train=."


def test_models_must_be_of_one_kind() -> None:
    with pytest.raises(ConfigError, match=r"^evaluate: got no model, want models of one kind\.$"):
        evaluate([], None)
