"""The protocol on real data: ETTh1, trained on 11,520 hours, then 30 daily forecasts of 24 hours."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from statewise.evaluation.backtest import backtest
from statewise.evaluation.baselines import drift, seasonal_naive
from statewise.evaluation.leak import check_leak
from statewise.rows.schema import ForecastSchema

TRAIN, ORIGINS, H = 11_520, 30, 24


# Published with the protocol: mean absolute errors of the seasonal naive, and the scale of MASE.
@pytest.mark.parametrize(
    ("target", "day", "week", "scale"), [("HUFL", 3.321, 3.201, 2.549), ("OT", 1.521, 2.305, 2.408)]
)
def test_seasonal_naive_on_etth1(data_folder, make_task, target, day, week, scale):
    data = pl.read_csv(data_folder / "ett" / "ETTh1.csv.gz", try_parse_dates=True).head(TRAIN + ORIGINS * H)
    schema = ForecastSchema(time="date", target=(target,), id=None)
    report = backtest(
        {"again": seasonal_naive(schema, H, 168)},
        data,
        task=make_task(H, schema),
        origins=ORIGINS,
        progress=False,
    )
    assert report.settings["cutoffs"][0] == str(data["date"][TRAIN - 1])
    scores = {row["model"]: row for row in report.scores.to_dicts()}
    assert scores["seasonal_naive"]["mae"] == pytest.approx(day, abs=1e-3)
    assert scores["seasonal_naive_168"]["mae"] == pytest.approx(week, abs=1e-3)
    assert scores["again"]["mae"] == scores["seasonal_naive_168"]["mae"]
    assert scores["seasonal_naive"]["mae"] / scores["seasonal_naive"]["mase"] == pytest.approx(
        scale, abs=1e-3
    )
    values = data[target].to_numpy()
    by_hand = [
        values[TRAIN + s : TRAIN + s + H] - values[TRAIN + s - H : TRAIN + s] for s in range(0, 720, 24)
    ]
    assert scores["seasonal_naive"]["mae"] == pytest.approx(np.abs(by_hand).mean())


def test_nothing_simple_beats_the_random_walk_on_exchange_rates(data_folder, make_task):
    path = data_folder / "exchange_rate" / "exchange_rate.txt.gz"
    data = pl.read_csv(path, has_header=False).select(pl.col("column_1").alias("y"))
    days = np.datetime64("1990-01-01", "us") + np.arange(len(data)) * np.timedelta64(86_400, "s")
    data = data.with_columns(pl.Series("ds", days))
    weekly = seasonal_naive(ForecastSchema(), 7, 5)
    report = backtest({"weekly": weekly}, data, horizon=7, origins=100, progress=False)
    assert " beats weekly by " in report.verdict
    assert report.verdict.endswith("Nothing here beats naive, the random walk, by more than noise.")
    check_leak(drift(ForecastSchema(), 7), data, horizon=7)
