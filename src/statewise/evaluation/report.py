"""The result of a backtest: numbers, table, verdict and picture, all from one set of answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from statewise.evaluation import picture, tables


@dataclass(frozen=True, repr=False, eq=False)
class BacktestReport:
    """What `backtest` found. Printing it gives the table and the verdict.

    MAE, MASE and sMAPE judge the median (the mean where there is none), RMSE the mean (else the median). MASE
    is scaled by the in-sample error of the seasonal naive before the first cutoff, per series and target;
    sMAPE runs from 0 to 200 %; CRPS is twice the mean pinball loss, in units; wQL the same as a share of |y|;
    skill is 1 - MASE / MASE of the seasonal naive.
    """

    forecasts: pl.DataFrame
    """model, unique_id, target, cutoff, ds, horizon (1 … H), y, mean, q…: one row per forecast step."""
    scores: pl.DataFrame
    """Per model and target (and "all" of several): n, missing, mae, rmse, mase, smape, crps, wql …"""
    by_horizon: pl.DataFrame
    """The same scores per step ahead."""
    reliability: pl.DataFrame
    """Per model and central interval: nominal and empirical coverage, mean width, n."""
    actuals: pl.DataFrame
    """unique_id, target, ds, y: what happened, from two horizons before the first cutoff on."""
    verdict: str
    """Plain sentences: which model wins, by how much, and whether that is more than noise."""
    models: tuple[str, ...]
    """Names of the forecasters under test, best first; all others are baselines."""
    baselines: tuple[str, ...]
    """Names of what they were compared with, best first."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """origins, step, horizon, cutoffs, frequency, season_length, refit_every: JSON-plain."""
    notes: tuple[str, ...] = ()
    """What a reader must know: missing values filled, findings of the data check, models left out."""

    def table(self) -> str:
        """The scores as text with aligned columns, best model first."""
        return tables.score_table(self)

    def __str__(self) -> str:
        return f"{self.table()}\n\n{self.verdict}"

    __repr__ = __str__

    def to_mapping(self) -> dict[str, Any]:
        """Everything but the forecasts themselves, as JSON-plain values."""
        return {
            "settings": dict(self.settings),
            "models": list(self.models),
            "baselines": list(self.baselines),
            "scores": self.scores.to_dicts(),
            "by_horizon": self.by_horizon.to_dicts(),
            "reliability": self.reliability.to_dicts(),
            "verdict": self.verdict,
            "notes": list(self.notes),
        }

    def picture(self, path: str | Path, series: str | None = None, target: str | None = None) -> Path:
        """Draws forecast fan, skill per horizon and reliability to `path` (.png, .svg, .pdf) and returns it.

        Shows the fan of `series` and all of `target` (default: the first).
        Raises MissingExtraError without matplotlib (extra `plot`), ConfigError for an unknown name.
        """
        return picture.draw(self, Path(path), series, target)
