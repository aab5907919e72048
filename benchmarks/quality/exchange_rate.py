"""Daily exchange rates: an honest report says that nothing beats the random walk.

python -m benchmarks.quality.exchange_rate              the result
python -m benchmarks.quality.exchange_rate --compare    with AutoETS and AutoTheta in the same table
"""

from __future__ import annotations

from typing import Any

import polars as pl
from benchmarks import scoring
from benchmarks.fitting import Fitted, effective, fitted, seeds_of
from benchmarks.recording import Row, arguments, write

import statewise as sw
from statewise.evaluation.report import BacktestReport

# Nothing is tuned here: the settings are those of sw.fit.
SETTINGS: dict[str, dict[str, Any]] = {
    "task": {"static": ("unique_id",)},
    "fit": {"validation": 0.125},  # 70 / 10 / 20 % of all days
    "train": {},
}
HORIZONS = (5, 24)
SEEDS = (0, 1, 2)
TRAIN_SHARE = 0.8
QUICK_ORIGINS = 20
SENTENCE = "Nothing here beats naive, the random walk, by more than noise."

PROTOCOL = """
Eight daily exchange rates as eight series of one model; 70 / 10 / 20 % of the days for training, early
stopping and test. The file holds no dates, so the calendar is made up. After training, forecasts of the
next 5 (24) days every 5 (24) days over the whole test part, no refit, beside naive, seasonal naive and
drift. The bar is met when the report's verdict says in words, for every seed and both horizons, that
nothing beats the random walk by more than noise (95 %, paired over origins)."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--compare", action="store_true", help="with AutoETS and AutoTheta: many minutes")
    options = parser.parse_args()
    data = sw.datasets.load("exchange_rate")
    days = data["ds"].unique().sort()
    first = round(TRAIN_SHARE * len(days))
    train = data.filter(pl.col("ds") < days[first])
    compare = ("AutoETS", "AutoTheta") if options.compare else ()
    rows, config = [], {}
    for horizon in HORIZONS:
        cutoffs = days[first - 1 : len(days) - horizon : horizon].to_list()
        cutoffs = cutoffs[-QUICK_ORIGINS:] if options.quick else cutoffs
        runs: list[Fitted] = []
        reports: list[BacktestReport] = []
        for seed in seeds_of(SEEDS, options.quick):
            runs.append(fitted(SETTINGS, train, seed, options.quick, horizon=horizon))
            models = compare if not reports else ()
            model = runs[-1].model
            reports.append(sw.backtest(model, data, origins=cutoffs, compare=models, progress=False))
            print(f"\n{horizon} days, seed {seed}\n{reports[-1].table()}\n{reports[-1].verdict}", flush=True)
        rows.append(row(horizon, runs, reports))
        config[str(horizon)] = effective(runs[0].model)
    seeds = seeds_of(SEEDS, options.quick)
    write("quality.exchange_rate", rows, PROTOCOL, config, options.quick, seeds=seeds)


def row(horizon: int, runs: list[Fitted], reports: list[BacktestReport]) -> Row:
    """One horizon's line of the table."""
    says = [SENTENCE in report.verdict for report in reports]
    own = sorted(scoring.figures(report, "statewise")["mase"] for report in reports)
    others = {name: scoring.figures(reports[0], name) for name in reports[0].baselines}
    seeds = [
        {
            "seed": run.seed,
            **scoring.figures(report, "statewise"),
            "fit_cpu_seconds": run.cpu,
            **run.outcome,
            "verdict": report.verdict,
        }
        for run, report in zip(runs, reports, strict=True)
    ]
    return Row(
        f"exchange_rate_{horizon:02d}",
        f"Exchange rates, daily, {horizon} days ahead",
        "the report says that nothing beats the random walk",
        f"it says so for {sum(says)} of {len(says)} seeds; MASE {own[len(own) // 2]:.3f}, "
        f"random walk {others['naive']['mase']:.3f}",
        all(says),
        {"seeds": seeds, "others": others, "origins": reports[0].settings["origins"]},
    )


if __name__ == "__main__":
    main()
