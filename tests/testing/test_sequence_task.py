"""`check_task` for tasks on sequences: sound ones pass, planted bugs are caught."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor

from statewise.core.errors import DataError, LawError
from statewise.models.classify import ClassifyModel
from statewise.recurrence import Recurrence
from statewise.state import State
from statewise.tasks.classify import Classify
from statewise.tasks.classify_problem import ClassifyProblem
from statewise.tasks.generate import Generate
from statewise.tasks.tag import Tag
from statewise.tasks.translate import Translate
from statewise.testing import check_task

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "saw",
    "two",
    "red",
    "dogs",
    "run",
    "far",
    "away",
    "from",
    "home",
]
Rows = list[dict[str, Any]]


def lines(count: int = 60) -> list[list[str]]:
    chance = random.Random(0)
    return [[chance.choice(WORDS) for _ in range(chance.randint(2, 12))] for _ in range(count)]


def texts() -> Rows:
    return [{"text": " ".join(line), "label": "cat" if "cat" in line else "none"} for line in lines()]


def numbers() -> Rows:
    return [{"x": [[float(len(word)), 1.0] for word in line], "label": len(line) % 2} for line in lines()]


def tagged() -> Rows:
    return [{"tokens": line, "labels": [str(len(word) > 3) for word in line]} for line in lines()]


def spans() -> Rows:
    return [{"tokens": line, "labels": ["B-X" if len(w) > 3 else "O" for w in line]} for line in lines()]


def pairs() -> Rows:
    return [{"source": " ".join(line), "target": " ".join(reversed(line))} for line in lines()]


def logged() -> Rows:
    """A log whose sequences lie apart, one event a row."""
    found = [{"who": len(line), "what": word} for line in lines() for word in line]
    return found[::2] + found[1::2]


CAUSAL = Classify(bidirectional=False)


@pytest.mark.parametrize(
    ("task", "rows"),
    [
        (CAUSAL, texts),
        (Classify(), texts),
        (Classify(values="x", bidirectional=False), numbers),
        (Tag(bidirectional=False), tagged),
        (Tag(), spans),
        (Generate(documents=True), texts),
        (Generate(items="what", by="who"), logged),
        (Translate(), pairs),
        (Translate(attention="summary"), pairs),
    ],
)
def test_every_kind_keeps_the_law(task: Any, rows: Callable[[], Rows]) -> None:
    check_task(task, rows())


def test_rows_that_do_not_fit_are_told() -> None:
    with pytest.raises(DataError, match="label"):
        check_task(CAUSAL, [{"text": "a b"}, {"text": "c"}])


def test_a_loss_that_depends_on_the_batch_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = ClassifyProblem.loss

    def summed(self: Any, network: Any, chunk: Any, state: State) -> tuple[Tensor, State]:
        loss, after = sound(self, network, chunk, state)
        return loss * len(chunk.weight), after

    monkeypatch.setattr(ClassifyProblem, "loss", summed)
    with pytest.raises(LawError, match=r"breaks law 5 .*the loss of 8 rows is \S+ together, \S+ one by one"):
        check_task(CAUSAL, texts())


def test_answers_that_depend_on_the_batch_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = ClassifyModel.predict

    def ranked(self: Any, data: Any) -> Any:
        return [{**answer, "label": str(len(data))} for answer in sound(self, data)]

    monkeypatch.setattr(ClassifyModel, "predict", ranked)
    want = r"ClassifyModel breaks law 5 .*answer\.label is '6' among others, '1' alone \(row 0\)"
    with pytest.raises(LawError, match=want):
        check_task(CAUSAL, texts())


class Late(Recurrence):
    """Another recurrence that answers one thing to a step and another to a sequence."""

    def __init__(self, sound: Recurrence) -> None:
        super().__init__()
        self.sound = sound

    def initial_state(self, batch: int) -> State:
        return self.sound.initial_state(batch)

    def step(self, x: Any, state: State) -> tuple[Tensor, State]:
        y, state = self.sound.step(x, state)
        return 2 * y, state

    def forward(self, x: Any, state: State = None, lengths: Any = None) -> tuple[Tensor, State]:
        found: tuple[Tensor, State] = self.sound(x, state, lengths)
        return found


def test_a_live_step_that_is_not_the_whole_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = ClassifyModel.live.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(ClassifyModel, "live", property(lambda self: Late(sound(self))))
    monkeypatch.setattr(ClassifyModel, "with_samples", lambda self, rows: replace(self))
    with pytest.raises(LawError, match="Late breaks law 2"):
        check_task(CAUSAL, texts())
