"""Scores of taggers beside dumb baselines."""

from __future__ import annotations

import pytest
from tag_models import trained_tagger
from tag_rows import tag_rows

from statewise.evaluation.evaluate import evaluate
from statewise.evaluation.tag import BASELINE, MAJORITY, FrequentTag, by_type, most_frequent

SENTENCES = [["the", "cat", "walked"], ["the", "Cat", "talked"], ["a", "walk", "2024"]]
LABELS = [["D", "N", "V"], ["D", "P", "V"], ["D", "N", "M"]]


def test_the_most_frequent_tag_backs_off_to_the_ending() -> None:
    baseline = FrequentTag(SENTENCES, LABELS)
    assert baseline.labels(["the", "cat", "Cat", "THE"]) == ["D", "N", "P", "D"]
    assert baseline.labels(["jumped"]) == ["V"]  # "-ed"
    assert baseline.labels(["1999"]) == ["M"]  # digits are one
    assert baseline.labels(["Zzz"]) == ["P"]  # capitalised and nothing else known
    assert baseline.labels(["zzz"]) == ["D"]  # the most frequent of small words, the first of several
    assert most_frequent(
        {"tokens": SENTENCES, "labels": LABELS}, {"tokens": SENTENCES, "labels": LABELS}, ("tokens", "labels")
    ) == pytest.approx(1.0)


def test_a_report_of_two_seeds_beside_the_baselines() -> None:
    models = [trained_tagger(), trained_tagger(seed=5)]
    report = evaluate(models, tag_rows(20, seed=2), train=tag_rows(60))
    assert [metric.name for metric in report.metrics] == ["f1", "precision", "recall", "accuracy", "ece"]
    assert list(report.systems) == ["model", BASELINE, MAJORITY]
    assert report.value("f1") > 0.9
    assert report.value("f1", MAJORITY) == 0.0
    assert 0.0 <= report.value("ece") < 0.2
    assert "2 seeds" in str(report)
    assert BASELINE in report.verdict
    assert "Answered: spans of probability" in report.notes[0]


def test_without_training_rows_the_majority_alone_stands_beside_it() -> None:
    report = evaluate(trained_tagger(), tag_rows(5, seed=2))
    assert list(report.systems) == ["model", MAJORITY]


def test_scores_by_type() -> None:
    scores = by_type(trained_tagger(), tag_rows(20, seed=2))
    assert set(scores.by_type) == {"person", "place"}
    assert scores.overall.wanted == 40
