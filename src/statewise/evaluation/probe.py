"""Asking a forecaster in the form of a check, and measuring how far two answers lie apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import DataError
from statewise.evaluation.answers import Answers, Questions
from statewise.evaluation.protocol import Frame, RollingForecaster
from statewise.evaluation.sheet import AnswerSheet
from statewise.evaluation.timeline import Timeline


@dataclass(frozen=True, eq=False)
class Reply:
    """Answers [1, S, D, H] from one cutoff, with the names of the axes."""

    answers: Answers
    questions: Questions


@dataclass(frozen=True)
class Gap:
    """The largest difference between two replies, and where it is; infinite where only one answers."""

    size: float  # in units of the target
    relative: float  # in standard deviations of the target
    column: str = ""
    series: str = ""
    step: int = 0


@dataclass(frozen=True, eq=False)
class Probe:
    """A forecaster under a check."""

    check: str
    forecaster: Any
    rows: Timeline
    horizon: int

    def ask(self, rows: Frame, cutoff: np.datetime64) -> Reply:
        """The forecasts from `cutoff`, given `rows`. Raises DataError when there are none."""
        panel = self.rows.panel
        names = tuple(series.id for series in panel.series)
        shape = (1, len(names), len(panel.schema.target), self.horizon)
        empty = np.full(shape, np.nan)
        cutoffs = np.array([cutoff], dtype="datetime64[s]")
        questions = Questions(
            names, panel.schema.target, cutoffs, cutoffs[:, None], empty, empty[0, ..., 0], 1
        )
        sheet = AnswerSheet(self.check, questions, panel)
        if isinstance(self.forecaster, RollingForecaster):
            sheet.fill(self.forecaster.rolling(rows, [cutoff]))
        else:
            moment: datetime = self.rows.written(cutoff)
            sheet.fill(self.forecaster(rows, moment), 0)
        answers = sheet.answers(0.0)
        if np.isnan(answers.point).all():
            raise DataError(
                f"{self.check}: the forecaster gave no forecast from {self.rows.written(cutoff)}."
            )
        return Reply(answers, questions)


def largest_gap(one: Reply, other: Reply, spread: NDArray[np.float64]) -> Gap:
    """The largest difference in the mean or any quantile, measured in the `spread` [D] of each target."""
    worst = Gap(0.0, 0.0)
    for column, gap in _gaps(one, other).items():
        relative = gap / spread[:, None]
        place = np.unravel_index(int(relative.argmax()), gap.shape)
        if relative[place] > worst.relative:
            series = one.questions.series[int(place[1])]
            worst = Gap(float(gap[place]), float(relative[place]), column, series, int(place[-1]) + 1)
    return worst


def step_movement(one: Reply, other: Reply, target: str) -> dict[str, NDArray[np.float64]]:
    """Per series that was forecast at all: how far the forecasts of `target` moved at each step [H]."""
    number = one.questions.targets.index(target)
    largest = np.max(list(_gaps(one, other).values()), axis=0)[0, :, number]
    point = one.answers.point[0, :, number]
    named = enumerate(one.questions.series)
    return {series: largest[s] for s, series in named if not np.isnan(point[s]).all()}


def _gaps(one: Reply, other: Reply) -> dict[str, NDArray[np.float64]]:
    """Difference per value column [1, S, D, H]: 0 where both are missing, infinite where one is."""
    pairs = {"mean": (one.answers.mean, other.answers.mean)}
    for level in {*one.answers.levels, *other.answers.levels}:
        pairs[f"q{level:g}"] = (_level(one.answers, level), _level(other.answers, level))
    return {column: _gap(*pair) for column, pair in pairs.items()}


def _gap(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    missing = np.isnan(one).astype(int) + np.isnan(other)
    return np.where(missing == 2, 0.0, np.where(missing == 1, np.inf, np.abs(one - other)))


def _level(answers: Answers, level: float) -> NDArray[np.float64]:
    if level not in answers.levels:
        return np.full(answers.mean.shape, np.nan)
    return answers.quantiles[..., answers.levels.index(level)]
