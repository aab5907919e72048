"""Temperature and threshold from held-out rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tag_models import trained_tagger
from tag_rows import tag_rows

from statewise.nn.crf_spans import ScoredSpan
from statewise.rows.text.spans import Span
from statewise.tasks.tag_calibration import best_threshold, calibrated, minimum
from statewise.training.plans.tag import encoded


def test_the_smallest_value_is_found() -> None:
    assert minimum(lambda x: (x - 1.7) ** 2, 0.25, 4.0) == pytest.approx(1.7, rel=0.01)
    assert minimum(lambda x: x, 0.25, 4.0) == pytest.approx(0.25, rel=0.02)


def test_a_network_that_is_too_sure_gets_a_temperature_above_one() -> None:
    model = trained_tagger(seed=3)
    rows = tag_rows(20, seed=1)
    rows["labels"] = [  # a fifth of the labels are wrong now: being sure is punished
        ["O" if (row + at) % 5 == 0 else label for at, label in enumerate(labels)]
        for row, labels in enumerate(rows["labels"])
    ]
    held_out = encoded(model.codec, model.task.rows(rows))
    with torch.no_grad():
        codec, record = calibrated(model.tagger, model.codec, held_out)
    assert float(model.tagger.temperature) == pytest.approx(record["temperature"])
    assert record["temperature"] > 1.2
    assert record["nats_after"] < record["nats_before"]
    assert record["ece_after"] < record["ece_before"]
    same = replace(codec, threshold=model.codec.threshold, platt=model.codec.platt)
    assert same == model.codec
    assert (codec.threshold, list(codec.platt)) == (record["threshold"], record["platt"])


def test_the_threshold_of_the_best_f1() -> None:
    right, wrong = Span(0, 1, "a"), Span(2, 3, "a")
    found = [[ScoredSpan(right, 0.42), ScoredSpan(wrong, 0.21)], [ScoredSpan(wrong, 0.11)]]
    # Up to 0.4 the right one is found; above 0.21 alone. Of equal ones the highest is taken.
    assert best_threshold(found, [[right], []]) == (0.4, 1.0)


def test_nothing_to_find() -> None:
    assert best_threshold([[]], [[]]) == (0.5, 0.0)
