"""From questions and answers to the frames of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from statewise.evaluation import scores
from statewise.evaluation.answers import Answers, Questions
from statewise.evaluation.questions import first_row
from statewise.evaluation.report import BacktestReport
from statewise.evaluation.timeline import Timeline
from statewise.evaluation.verdict import mean_losses, verdict
from statewise.rows.zones import is_fixed

_NUMBERS = ("mae", "rmse", "mase", "smape", "crps", "wql", "coverage_80", "width_80", "skill", "seconds")
_SHARES = ("nominal", "empirical", "width")


def write_report(
    rows: Timeline,
    questions: Questions,
    answers: Mapping[str, Answers],
    models: Sequence[str],
    settings: Mapping[str, Any],
    notes: Sequence[str],
) -> BacktestReport:
    """The report of a backtest; `settings` brings `step` and `refit_every`, the rest is read off."""
    reference = "seasonal_naive" if "seasonal_naive" in answers else None
    ranked = [*mean_losses(questions, answers), *answers]
    order = list(dict.fromkeys(ranked))
    return BacktestReport(
        forecasts=_forecasts(questions, answers),
        scores=_frame(scores.score_rows(questions, answers, reference)),
        by_horizon=_frame(scores.horizon_rows(questions, answers, reference)),
        reliability=_frame(scores.reliability_rows(questions, answers)),
        actuals=_actuals(rows, questions),
        verdict=verdict(questions, answers, models, settings["step"]),
        models=tuple(name for name in order if name in models),
        baselines=tuple(name for name in order if name not in models),
        settings={
            "origins": len(questions.cutoffs),
            "horizon": questions.horizon,
            "series": len(questions.series),
            "frequency": rows.panel.frequency.name,
            "season_length": questions.season_length,
            "skill_reference": reference,
            "timezone": _shown_zone(rows),
            "cutoffs": [f"{cutoff}{_zone(rows)}".replace("T", " ", 1) for cutoff in questions.cutoffs],
            **settings,
        },
        notes=(*notes, *(str(finding) for finding in rows.panel.findings)),
    )


def _zone(rows: Timeline) -> str:
    """What inside times are in: UTC below a day when the rows have a time zone, else the rows' own clock."""
    clock = rows.panel.clock
    return " UTC" if clock.timezone is not None and not clock.whole_days else ""


def _shown_zone(rows: Timeline) -> str | None:
    """The time zone a picture shows times in; None where inside times are shown as they are."""
    zone = rows.panel.clock.timezone
    return zone if zone is not None and not is_fixed(zone) and _zone(rows) else None


def _frame(rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """Score rows as a frame; a column that is None throughout still is a number column."""
    if not rows:  # no forecaster has intervals
        texts = {"model": pl.String, "target": pl.String}
        return pl.DataFrame(schema={**texts, **dict.fromkeys(_SHARES, pl.Float64), "n": pl.Int64})
    frame = pl.DataFrame(rows, infer_schema_length=None)
    numbers = [name for name in (*_NUMBERS, *_SHARES) if name in frame.columns]
    counts = [name for name in ("n", "missing") if name in frame.columns]
    return frame.with_columns(pl.col(numbers).cast(pl.Float64), pl.col(counts).cast(pl.Int64))


def _forecasts(questions: Questions, answers: Mapping[str, Answers]) -> pl.DataFrame:
    """One row per model, series, target, cutoff and step that has an actual or an answer."""
    levels = sorted({level for answer in answers.values() for level in answer.levels})
    parts = [_model_rows(questions, name, answer, levels) for name, answer in answers.items()]
    return pl.concat(parts)


def _model_rows(questions: Questions, name: str, answer: Answers, levels: Sequence[float]) -> pl.DataFrame:
    kept = ~np.isnan(questions.actual) | ~np.isnan(answer.point)
    origin, series, target, step = np.nonzero(kept)
    quantiles = {level: answer.quantiles[..., number][kept] for number, level in enumerate(answer.levels)}
    nothing = np.full(len(origin), np.nan)
    columns = {
        "model": pl.Series([name], dtype=pl.String).new_from_index(0, len(origin)),
        "unique_id": pl.Series(questions.series, dtype=pl.String).gather(series),
        "target": pl.Series(questions.targets, dtype=pl.String).gather(target),
        "cutoff": pl.Series(questions.cutoffs.astype("datetime64[us]")).gather(origin),
        "ds": pl.Series(questions.times[origin, step].astype("datetime64[us]")),
        "horizon": pl.Series(step + 1),
        "y": pl.Series(questions.actual[kept]),
        "mean": pl.Series(answer.mean[kept]),
        **{f"q{level:g}": pl.Series(quantiles.get(level, nothing)) for level in levels},
    }
    return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))


def _actuals(rows: Timeline, questions: Questions) -> pl.DataFrame:
    frequency = rows.panel.frequency
    start = max(int(frequency.index(questions.cutoffs[:1])[0]) - 2 * questions.horizon, first_row(rows.panel))
    stop = int(frequency.index(questions.cutoffs[-1:])[0]) + questions.horizon
    first, last = frequency.time(np.array([start, stop]))
    parts = []
    for series in rows.panel.series:
        shown = (series.time >= first) & (series.time <= last)
        for number, target in enumerate(rows.panel.schema.target):
            columns = {
                "ds": pl.Series(series.time[shown].astype("datetime64[us]")),
                "y": pl.Series(series.target[shown, number]).fill_nan(None),
            }
            labels = [pl.lit(series.id).alias("unique_id"), pl.lit(target).alias("target")]
            parts.append(pl.DataFrame(columns).select(*labels, "ds", "y"))
    return pl.concat(parts)
