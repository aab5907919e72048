"""What one competitor lost at every origin, series, target and step, and where that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.evaluation.answers import Answers, Questions
from statewise.evaluation.questions import ask
from statewise.evaluation.sheet import AnswerSheet
from statewise.evaluation.timeline import Timeline, timeline
from statewise.metrics import forecast as metrics
from statewise.rows.clock import Clock
from statewise.tasks.forecast import Forecast

Floats = NDArray[np.float32]
_COVERED = 0.8


class Losses(NamedTuple):
    """Per forecast step [O, S, D, H]; NaN where nothing was observed, or nothing was answered."""

    error: Floats  # |actual - median|
    crps: Floats
    inside: Floats  # 1 where the actual lies in the central 80 % interval, else 0

    def save(self, path: Path) -> None:
        """Write the three arrays (.npz, no pickle)."""
        with path.open("wb") as file:
            np.savez_compressed(file, **self._asdict())


def load_losses(path: Path) -> Losses:
    """What `Losses.save` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return Losses(*(arrays[name] for name in Losses._fields))


def joined(parts: Sequence[Losses]) -> Losses:
    """Consecutive origins as one."""
    return Losses(*(np.concatenate(pieces) for pieces in zip(*parts, strict=True)))


@dataclass(frozen=True, eq=False)
class Exam:
    """Rows cut at origins, and what is asked there. `blocks` are the origins between two trainings."""

    rows: Timeline
    questions: Questions
    step: int
    notes: tuple[str, ...]
    folds: int

    @property
    def blocks(self) -> list[range]:
        """The numbers of the origins of each fold."""
        parts = np.array_split(np.arange(len(self.questions.cutoffs)), self.folds)
        return [range(int(part[0]), int(part[-1]) + 1) for part in parts]

    def history(self, fold: int) -> Any:
        """The rows that a model of this fold may be trained on."""
        return self.rows.history(self.questions.cutoffs[self.blocks[fold].start])

    def losses(self, name: str, forecaster: Any, fold: int) -> Losses:
        """What `forecaster`, a rolling one, loses at the origins of a fold."""
        block = self.blocks[fold]
        sheet = AnswerSheet(name, self.questions, self.rows.panel)
        cutoffs = self.questions.cutoffs[block.start : block.stop]
        seen = self.rows.until(cutoffs[-1], self.questions.horizon)
        sheet.fill(forecaster.rolling(seen, list(cutoffs)))
        return _losses(self.questions, sheet.answers(0.0), slice(block.start, block.stop))


def exam(data: Any, task: Forecast, origins: Any, step: int | None, folds: int) -> Exam:
    """The exam of `backtest`: the newest `origins`, or those given as datetimes. Raises DataError."""
    rows = timeline(data, task.schema)
    questions, distance, notes = ask(rows.panel, origins, step, task.horizon)
    return Exam(rows, questions, distance, tuple(notes), min(folds, len(questions.cutoffs)))


def shown_cutoffs(questions: Questions, clock: Clock) -> tuple[str, str]:
    """The first and the last origin as the rows write them."""
    first, last = clock.texts(questions.cutoffs[[0, -1]])
    return first.replace("T", " "), last.replace("T", " ")


def _losses(questions: Questions, answers: Answers, block: slice) -> Losses:
    actual = questions.actual[block]
    nothing = np.full(actual.shape, np.nan)
    crps, inside = nothing, nothing
    if len(answers.levels) > 1:
        quantiles = answers.quantiles[block]
        known = np.where(np.isnan(quantiles).any(axis=-1), np.nan, actual)
        crps = metrics.crps(known, quantiles, answers.levels, axis=())
    for nominal, lower, upper in answers.intervals:
        if nominal == _COVERED:
            low, high = lower[block], upper[block]
            known = np.where(np.isnan(low + high), np.nan, actual)
            inside = metrics.coverage(known, low, high, axis=())
    error = np.abs(actual - answers.point[block])
    return Losses(*(part.astype(np.float32) for part in (error, crps, inside)))
