"""Figures out of a backtest report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from statewise.evaluation.report import BacktestReport
from statewise.evaluation.significance import paired_difference

SCORES = ("mae", "rmse", "mase", "crps", "coverage_80", "width_80")


def figures(report: BacktestReport, model: str) -> dict[str, float]:
    """Scores of a model, and its MAE one step ahead."""
    row = report.scores.row(by_predicate=pl.col("model") == model, named=True)
    first = report.by_horizon.row(
        by_predicate=(pl.col("model") == model) & (pl.col("horizon") == 1), named=True
    )
    return {**{name: _number(row[name]) for name in SCORES}, "mae_one_step": _number(first["mae"])}


def by_series(report: BacktestReport, model: str) -> dict[str, float]:
    """MAE of a model (of its median, else its mean) per series."""
    rows = errors(report, model).group_by("unique_id", maintain_order=True).agg(pl.col("error").mean())
    return dict(rows.iter_rows())


def errors(report: BacktestReport, model: str) -> pl.DataFrame:
    """|y - median| (mean, where there is none) of all scored forecasts: unique_id, cutoff, horizon, error."""
    point = pl.coalesce([name for name in ("q0.5", "mean") if name in report.forecasts.columns])
    rows = report.forecasts.filter(pl.col("model") == model, pl.col("y").is_not_null())
    return rows.select("unique_id", "cutoff", "horizon", error=(pl.col("y") - point).abs())


def seasonal_scale(data: pl.DataFrame, season: int) -> dict[str, float]:
    """The scale of MASE per series: mean |y_t - y_(t - season)| of `data` (unique_id, ds, y; no gaps)."""
    change = (pl.col("y") - pl.col("y").shift(season)).abs().mean()
    return dict(data.sort("ds").group_by("unique_id").agg(change).iter_rows())


def skill(
    report: BacktestReport, model: str, rival: str, scale: Mapping[str, float], overlap: int = 1
) -> dict[str, Any]:
    """1 - MASE / MASE of `rival`, with the 95 % half-width of the difference paired over origins.

    `scale` is that of MASE, per series; `overlap` is horizon / step, rounded up.
    """
    mine, theirs = (errors(report, name) for name in (model, rival))
    both = mine.join(theirs, on=["unique_id", "cutoff", "horizon"], suffix="_rival")
    unit = pl.col("unique_id").replace_strict(scale, return_dtype=pl.Float64)
    both = both.with_columns(gain=(pl.col("error_rival") - pl.col("error")) / unit)
    reference = float(np.asarray(both.select(pl.col("error_rival") / unit)).mean())
    per_origin = both.group_by("cutoff").agg(pl.col("gain").mean()).sort("cutoff")["gain"]
    found = paired_difference(per_origin.to_numpy(), overlap)
    return {
        "rival": rival,
        "skill": found.mean / reference,
        "half_width": found.half_width / reference,
        "more_than_noise": not found.is_noise,
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
