"""Answers of a model that cannot stream: kept as samples, and compared where it is loaded."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from statewise.core.errors import BundleError
from statewise.streaming.replay import record_answers, verify_answers

ROWS = [{"text": "good"}, {"text": "bad"}]


def answer(rows: list[Any], shift: float = 0.0, label: str = "yes") -> list[Any]:
    return [
        {"label": label, "scores": np.array([0.25 + shift, 0.75]), "spans": [["PER", 0, 2]], "number": 3}
        for _ in rows
    ]


def test_answers_are_json_and_replay() -> None:
    samples = record_answers(answer, ROWS)
    assert samples[0] == {
        "row": {"text": "good"},
        "answer": {"label": "yes", "scores": [0.25, 0.75], "spans": [["PER", 0, 2]], "number": 3},
    }
    kept = json.loads(json.dumps(samples))
    verify_answers(answer, kept)
    verify_answers(lambda rows: answer(rows, 9e-5), kept)
    verify_answers(answer, ())


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (lambda rows: answer(rows, 0.01), "is off by 0.01 (at most 0.0001)"),
        (lambda rows: answer(rows, label="no"), "is 'no', the saver's was 'yes'"),
        (
            lambda rows: [{"label": "yes"}] * 2,
            "is {'label': 'yes'}, the saver's was {'label': 'yes', 'scores': ",
        ),
        (lambda rows: answer(rows, float("inf")), "is off by inf (at most 0.0001)"),
        (lambda rows: answer(rows, float("nan")), "is None, the saver's was 0.25"),
    ],
)
def test_another_answer_is_refused(other: Any, text: str) -> None:
    with pytest.raises(BundleError) as caught:
        verify_answers(other, record_answers(answer, ROWS))
    assert str(caught.value).startswith(f"samples: the answer to row 1 {text}")
    assert str(caught.value).endswith(
        ": this machine computes the model differently from where it was saved."
    )
