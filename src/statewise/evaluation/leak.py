"""Two guarantees as checks for any forecaster: nothing after the cutoff counts, and the newest row does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from statewise.core.errors import DataError, LawError
from statewise.evaluation.backtest import task_facts
from statewise.evaluation.perturbation import POISONS, nudged, poisoned, spread
from statewise.evaluation.probe import Gap, Probe, Reply, largest_gap, step_movement
from statewise.evaluation.protocol import CutoffForecaster, Forecaster, ForecastTask, Frame, RollingForecaster
from statewise.evaluation.questions import first_row, last_observed
from statewise.evaluation.timeline import Timeline, timeline


@dataclass(frozen=True)
class LeakResult:
    """A forecaster that passed; `largest` is how far any forecast moved, in units."""

    cutoffs: tuple[datetime, ...]
    poisons: tuple[str, ...]
    largest: float

    def __str__(self) -> str:
        tried = f"{len(self.cutoffs)} cutoffs × {len(self.poisons)} poisons of the future"
        return f"No leak: {tried} moved no forecast (largest movement {self.largest:.3g})."


@dataclass(frozen=True)
class RecencyResult:
    """A forecaster that passed; `movement` [H] is how far the least moved series went, per unit of nudge."""

    cutoff: datetime
    movement: tuple[float, ...]

    @property
    def largest(self) -> float:
        """The largest movement of any step."""
        return max(self.movement)

    def __str__(self) -> str:
        low, high = min(self.movement), max(self.movement)
        return (
            f"Recency holds: all {len(self.movement)} steps react to the newest observation "
            f"(by {low:.3g} to {high:.3g} per unit)."
        )


def check_leak(
    forecaster: CutoffForecaster | RollingForecaster,
    data: Any,
    task: ForecastTask | None = None,
    *,
    horizon: int | None = None,
    cutoffs: int | Sequence[datetime] = 3,
    tolerance: float = 1e-5,
) -> LeakResult:
    """Poisons all rows after a cutoff and asserts that the forecasts from it stay where they are.

    `forecaster` is any callable `(rows, cutoff) -> forecast frame` that is handed *all* rows, later ones too,
    as the cross-validation of other libraries is; a `RollingForecaster` (a Statewise model) is taken as it
    is, and `fitted(make)` and `from_history(forecaster)` adapt the other forms. Targets and observed columns
    are replaced by wild values, then by their opposites, then more rows are appended; known and static
    columns stay true, for they are known ahead. `cutoffs` are spread over the second half of the data when a
    number is given.

    A movement counts beyond `tolerance` × the standard deviation of the target up to the cutoff.
    Raises LawError naming cutoff, series, step, column and movement, or that two equal runs differ.
    """
    probe, rows = _probe("check_leak", forecaster, data, task, horizon)
    moments = _cutoffs(rows, cutoffs, probe.horizon)
    largest = 0.0
    for cutoff in moments:
        unit = spread(rows, cutoff)
        answer = _repeatable(probe, rows.frame.to_native(), cutoff, tolerance)
        for poison in POISONS:
            gap = largest_gap(answer, probe.ask(poisoned(rows, cutoff, poison), cutoff), unit)
            if gap.relative > tolerance:
                raise LawError(
                    f"check_leak: forecasts from {rows.written(cutoff)} moved by up to {gap.size:.3g} "
                    f"({_where(gap)}) when only rows after it changed ({poison}): "
                    f"fit every statistic on rows up to the cutoff."
                )
            largest = max(largest, gap.size)
    return LeakResult(tuple(rows.written(cutoff) for cutoff in moments), POISONS, largest)


def check_recency(
    forecaster: CutoffForecaster | RollingForecaster,
    data: Any,
    task: ForecastTask | None = None,
    *,
    horizon: int | None = None,
    cutoff: datetime | None = None,
    tolerance: float = 1e-6,
) -> RecencyResult:
    """Nudges the newest observation and asserts that every step of every forecast moves.

    `forecaster` is as in `check_leak`, but is handed only rows up to the cutoff (and what is known of the
    next `horizon` rows). The newest value of each target goes up, then down, by its standard deviation; a
    step counts as moved when its mean or any quantile does by more than `tolerance` × that. The default
    cutoff leaves one horizon.

    A forecaster may be blind by design: the seasonal naive repeats one value of the season per step, so the
    newest one moves one step of each season only, and it fails here by nature.
    Raises LawError naming the steps that do not react, the series and the target.
    """
    probe, rows = _probe("check_recency", forecaster, data, task, horizon)
    moment = _cutoffs(rows, 1 if cutoff is None else [cutoff], probe.horizon)[-1]
    before = rows.until(moment, probe.horizon)
    answer = _repeatable(probe, before, moment, tolerance)
    least = np.full(probe.horizon, np.inf)
    for target, unit in zip(rows.panel.schema.target, spread(rows, moment), strict=True):
        up, down = (
            step_movement(answer, probe.ask(nudged(rows, before, moment, target, size), moment), target)
            for size in (unit, -unit)
        )
        for series in up:
            movement = np.fmax(up[series], down[series]) / unit
            blind = np.flatnonzero(~(movement > tolerance)) + 1
            if len(blind):
                raise LawError(
                    f"check_recency: {_steps(blind)} of {probe.horizon} ignore the newest observation "
                    f"(series '{series}', target '{target}', cutoff {rows.written(moment)}): "
                    f"read every step out of the state after the newest row."
                )
            least = np.minimum(least, movement)
    return RecencyResult(rows.written(moment), tuple(float(value) for value in least))


def fitted(make: Callable[[Frame], Forecaster], task: ForecastTask) -> CutoffForecaster:
    """`make(rows)` under `check_leak`: it is fitted on all rows at hand, then asked at the cutoff.

    What it learned from the rows after the cutoff then shows. `make` gives a forecaster `(history, future)`.
    """

    def ask(rows: Frame, cutoff: datetime) -> Frame:
        return from_history(make(rows), task)(rows, cutoff)

    return ask


def from_history(forecaster: Forecaster, task: ForecastTask) -> CutoffForecaster:
    """A forecaster `(history, future)` in the form the checks ask: it is handed the rows up to the cutoff."""

    def ask(rows: Frame, cutoff: datetime) -> Frame:
        whole = timeline(rows, task.schema)
        moment = np.datetime64(whole.panel.clock.seconds(cutoff, None), "s")
        return forecaster(whole.history(moment), whole.future(moment, task.horizon))

    return ask


def _probe(
    check: str, forecaster: Any, data: Any, task: ForecastTask | None, horizon: int | None
) -> tuple[Probe, Timeline]:
    schema, steps = task_facts(task, [forecaster], horizon)
    rows = timeline(data, schema)
    return Probe(check, forecaster, rows, steps), rows


def _cutoffs(rows: Timeline, wanted: int | Sequence[datetime], horizon: int) -> list[np.datetime64]:
    """The cutoffs given, or so many from the middle of the data to one horizon before its end."""
    panel = rows.panel
    if not isinstance(wanted, int):
        return [np.datetime64(panel.clock.seconds(cutoff, None, "cutoff"), "s") for cutoff in wanted]
    first, last = first_row(panel), last_observed(panel) - horizon
    if last <= first + 1:
        raise DataError(
            f"data: {last_observed(panel) - first + 1} steps are too few to look {horizon} ahead."
        )
    middle = max((first + last) // 2, first + 1)
    index = (
        np.unique(np.linspace(middle, last, wanted).round().astype(np.int64))
        if wanted > 1
        else np.array([last])
    )
    return list(panel.frequency.time(index))


def _repeatable(probe: Probe, rows: Frame, cutoff: np.datetime64, tolerance: float) -> Reply:
    """The forecasts, asked for twice: chance would look like a leak, and would hide blindness."""
    answer = probe.ask(rows, cutoff)
    gap = largest_gap(answer, probe.ask(rows, cutoff), spread(probe.rows, cutoff))
    if gap.relative > tolerance:
        raise LawError(
            f"{probe.check}: two runs on the same rows differ by {gap.size:.3g} ({_where(gap)}): "
            f"fix the forecaster's seed."
        )
    return answer


def _where(gap: Gap) -> str:
    return f"{gap.column}, series '{gap.series}', step {gap.step}"


def _steps(steps: Any) -> str:
    """ "step 3", "steps 1-23", "steps 1-3, 7"."""
    runs = np.split(steps, np.flatnonzero(np.diff(steps) != 1) + 1)
    text = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"step{'s' if len(steps) > 1 else ''} {text}"
