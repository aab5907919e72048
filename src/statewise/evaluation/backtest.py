"""Rolling-origin evaluation: every forecaster answers the same questions from the same past."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from statewise.core.errors import ConfigError
from statewise.evaluation.answers import Answers, Questions
from statewise.evaluation.baselines import fitting_seasons, named_baselines
from statewise.evaluation.comparison import Classical, classical
from statewise.evaluation.protocol import Forecaster, ForecastTask, Refit, RollingForecaster, Tasked, Trained
from statewise.evaluation.questions import ask, first_row
from statewise.evaluation.report import BacktestReport
from statewise.evaluation.reporting import write_report
from statewise.evaluation.sheet import AnswerSheet
from statewise.evaluation.timeline import Timeline, timeline
from statewise.rows.schema import ForecastSchema

AnyForecaster = Forecaster | RollingForecaster
Advance = Callable[[int], None]


def backtest(
    forecaster: AnyForecaster | Mapping[str, AnyForecaster] | None,
    data: Any,
    *,
    task: ForecastTask | None = None,
    origins: int | Sequence[datetime] = 30,
    step: int | None = None,
    horizon: int | None = None,
    baselines: Sequence[str] = ("naive", "seasonal_naive", "drift"),
    compare: Sequence[str | Classical] = (),
    refit: Refit | Mapping[str, Refit] | None = None,
    refit_every: int = 1,
    progress: bool = True,
) -> BacktestReport:
    """Scores `forecaster` (or several, by name) against the baselines on rolling origins of `data`.

    A forecaster is any callable `(history, future) -> frame`, or a `RollingForecaster`. It is handed only
    rows up to the cutoff, sorted by time, and the known columns of the next `horizon` rows.

    The newest `origins` cutoffs are taken, `step` rows apart (default: the horizon, so that windows do not
    overlap), the last so that its whole horizon is observed; or give the cutoffs themselves, in the
    convention of the rows. Cutoffs are the same calendar times for every series. Column names and roles come
    from `task`, from a forecaster that has one, or are the defaults (`ds`, `y`, `unique_id`); `horizon` is
    then required.

    `compare` names models of statsforecast ("AutoETS", "AutoTheta", "MSTL", or `Classical(...)` with
    settings). `refit` makes a new forecaster from the rows up to the cutoff, at the first origin and every
    `refit_every` after it, in place of `forecaster` (which then may be None); give a mapping to refit several
    by name.

    Raises DataError (frame or forecasts do not fit), ConfigError (settings), MissingExtraError (`compare`).
    """
    named = _named(forecaster, refit)
    schema, horizon = task_facts(task, list(named.values()), horizon)
    rows = timeline(data, schema)
    questions, distance, notes = ask(rows.panel, origins, step, horizon)
    length = int(rows.panel.frequency.index(questions.cutoffs[:1])[0]) - first_row(rows.panel) + 1
    seasons = fitting_seasons(rows.panel.frequency.season_lengths, length)
    opponents: dict[str, AnyForecaster] = {**named_baselines(baselines, rows.schema, horizon, seasons)}
    for settings in compare:
        opponent = classical(settings, rows.schema, horizon, seasons)
        opponents[opponent.name] = opponent
    if twice := set(named) & set(opponents):
        raise ConfigError(f"forecaster: the name '{min(twice)}' is a baseline's: choose another.")
    makers = _makers(refit, named, refit_every)
    _check_forms({name: value for name, value in named.items() if name not in makers})
    answers = _all_answers({**named, **opponents}, makers, rows, questions, refit_every, progress)
    settings_shown = {"step": distance, "refit_every": refit_every if refit else None}
    seen = {name: value for name, value in named.items() if name not in makers}
    notes = [*notes, *_training_notes(seen, rows, questions), *_comparison_notes(compare, rows, questions)]
    return write_report(rows, questions, answers, tuple(named), settings_shown, notes)


def task_facts(
    task: ForecastTask | None, forecasters: Sequence[Any], horizon: int | None
) -> tuple[ForecastSchema, int]:
    """Schema and horizon of the task, else of the first forecaster that brings one, else the defaults."""
    if task is None:
        task = next((f.task for f in forecasters if isinstance(f, Tasked)), None)
    if horizon is None and task is None:
        raise ConfigError("horizon: got none, and no task to take it from: pass horizon= or task=.")
    steps = horizon if horizon is not None else task.horizon if task is not None else 0
    if steps < 1:
        raise ConfigError(f"horizon: got {steps}, want at least 1.")
    return (task.schema if task is not None else ForecastSchema()), steps


def _named(
    forecaster: AnyForecaster | Mapping[str, AnyForecaster] | None, refit: Refit | Mapping[str, Refit] | None
) -> dict[str, Any]:
    if isinstance(forecaster, Mapping):
        return dict(forecaster)
    if forecaster is None and isinstance(refit, Mapping):
        return dict.fromkeys(refit)
    if forecaster is None and refit is None:
        raise ConfigError("forecaster: got None, want a callable (history, future) -> frame, or refit=.")
    return {"statewise" if isinstance(forecaster, Tasked) else "forecaster": forecaster}


def _makers(
    refit: Refit | Mapping[str, Refit] | None, named: Mapping[str, Any], every: int
) -> dict[str, Refit]:
    if every < 1:
        raise ConfigError(f"refit_every: got {every}, want at least 1.")
    if refit is None:
        return {}
    if isinstance(refit, Mapping):
        if strangers := set(refit) - set(named):
            raise ConfigError(f"refit: no forecaster is called '{min(strangers)}'.")
        return dict(refit)
    if len(named) > 1:
        raise ConfigError(f"refit: got one for {len(named)} forecasters: give a mapping from name to refit.")
    return dict.fromkeys(named, refit)


def _check_forms(named: Mapping[str, Any]) -> None:
    for name, value in named.items():
        if not callable(value) and not isinstance(value, RollingForecaster):
            kind = type(value).__name__
            raise ConfigError(f"forecaster '{name}': got {kind}, want a callable (history, future) -> frame.")


@dataclass(frozen=True)
class _Run:
    """What one forecaster needs to answer."""

    rows: Timeline
    questions: Questions
    advance: Advance

    def answer(self, name: str, forecaster: Any, maker: Refit | None, every: int) -> Answers:
        """The answers of one forecaster at all origins, refitted by `maker` every so many origins."""
        sheet = AnswerSheet(name, self.questions, self.rows.panel)
        count = len(self.questions.cutoffs)
        begin = time.perf_counter()
        for start in range(0, count, every if maker else count):
            block = range(start, min(start + (every if maker else count), count))
            if maker is not None:
                forecaster = maker(self.rows.history(self.questions.cutoffs[start]))
            self._block(sheet, forecaster, block)
        return sheet.answers(time.perf_counter() - begin)

    def _block(self, sheet: AnswerSheet, forecaster: Any, block: range) -> None:
        cutoffs = self.questions.cutoffs
        if isinstance(forecaster, RollingForecaster):
            seen = self.rows.until(cutoffs[block[-1]], self.questions.horizon)
            sheet.fill(forecaster.rolling(seen, list(cutoffs[block.start : block.stop])))
            self.advance(len(block))
            return
        for origin in block:
            future = self.rows.future(cutoffs[origin], self.questions.horizon)
            sheet.fill(forecaster(self.rows.history(cutoffs[origin]), future), origin)
            self.advance(1)


def _all_answers(
    forecasters: Mapping[str, Any],
    makers: Mapping[str, Refit],
    rows: Timeline,
    questions: Questions,
    every: int,
    progress: bool,
) -> dict[str, Answers]:
    answers = {}
    with _progress_bar(len(forecasters) * len(questions.cutoffs), progress) as (advance, label):
        run = _Run(rows, questions, advance)
        for name, forecaster in forecasters.items():
            label(name)
            answers[name] = run.answer(name, forecaster, makers.get(name), every)
    return answers


@contextmanager
def _progress_bar(total: int, wanted: bool) -> Iterator[tuple[Advance, Callable[[str], None]]]:
    """A bar that shows itself only when the work takes longer than two seconds."""
    from tqdm.auto import tqdm

    hide = None if wanted else True  # None: a bar in a terminal or a notebook, nothing in a log file
    with tqdm(total=total, delay=2.0, disable=hide, desc="backtest", unit="origin", leave=False) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        yield advance, lambda name: bar.set_postfix_str(name, refresh=False)


def _training_notes(named: Mapping[str, Any], rows: Timeline, questions: Questions) -> list[str]:
    """How many origins lie within the rows that a model was trained on."""
    notes = []
    for name, forecaster in named.items():
        if not isinstance(forecaster, Trained) or forecaster.trained_until is None:
            continue
        until = forecaster.trained_until
        last = np.datetime64(rows.panel.clock.seconds(until, None), "s")
        if inside := int((questions.cutoffs < last).sum()):
            whose = "the model" if len(named) == 1 else name
            notes.append(
                f"{inside} of {len(questions.cutoffs)} origins lie before {until.replace('T', ' ')}, the end "
                f"of the training rows: {whose} has seen those answers, so its scores flatter it. "
                "Train it on earlier rows (data.until)."
            )
    return notes


def _comparison_notes(compare: Sequence[str | Classical], rows: Timeline, questions: Questions) -> list[str]:
    if not compare:
        return []
    names = [c if isinstance(c, str) else c.name for c in compare]
    last = questions.cutoffs[-1]
    parts = [series.target[series.time <= last] for series in rows.panel.series]
    missing = sum(int(np.isnan(part).sum()) for part in parts)
    if not missing:
        return []
    many = "1 missing value was" if missing == 1 else f"{missing} missing values were"
    verb = "refuses" if len(names) == 1 else "refuse"
    return [f"{many} filled by linear interpolation for {', '.join(names)}: statsforecast {verb} them."]
