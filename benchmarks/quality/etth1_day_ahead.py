"""ETTh1, one series at a time: the next 24 hours, forecast every midnight for 30 days.

python -m benchmarks.quality.etth1_day_ahead              the result
python -m benchmarks.quality.etth1_day_ahead --validate   inside the training part: choose settings here
python -m benchmarks.quality.etth1_day_ahead --compare    with AutoETS, AutoTheta and MSTL in the same table
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
from benchmarks import classical_cache, scoring
from benchmarks.fitting import Fitted, effective, fitted, seeds_of
from benchmarks.recording import Row, arguments, middle, write

import statewise as sw
from statewise.evaluation.report import BacktestReport

# Chosen with --validate alone; the same for both series.
SETTINGS: dict[str, dict[str, Any]] = {
    "task": {"horizon": 24, "id": None},
    "fit": {"members": 2, "validation": 0.0},  # options of sw.fit: cell, hidden_size, dropout …
    "train": {"steps": 80, "learning_rate": 3e-4},  # options of sw.TrainConfig on top of those of sw.fit
}
SEEDS = (0, 1, 2)
DAY = 24


@dataclass(frozen=True)
class Bar:
    """Largest errors allowed: 24 hours ahead on average, and one hour ahead."""

    mae: float
    one_step: float


BARS = {"HUFL": Bar(2.60, 0.75), "OT": Bar(1.10, 0.28)}
COVERAGE = (0.77, 0.83)
FIT_SECONDS = 20

PROTOCOL = """
ETTh1; HUFL and OT each on its own (no other column is read). Trained once on the first {train:,} hours,
with no early stopping; then one forecast of the next 24 hours after every
23:00 row for {days} days, rows up to the cutoff only, no refit. MAE of the median over all {days} x 24
values; one hour ahead: the first step alone; coverage of the online-calibrated 80 % interval. Figures are
the medians over seeds. Seconds of sw.fit are processor time of all threads, imports excluded."""


@dataclass(frozen=True)
class Part:
    """Training hours and the number of days forecast after them."""

    train: int
    days: int


TEST, VALIDATION = Part(11_520, 30), Part(10_080, 59)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--validate", action="store_true", help="inside the training part; nothing is stored")
    parser.add_argument(
        "--compare", action="store_true", help="with models of statsforecast, one or two minutes"
    )
    options = parser.parse_args()
    part = VALIDATION if options.validate else TEST
    data = sw.datasets.load("etth1").head(part.train + part.days * DAY)
    rows, config = [], {}
    for name in BARS:
        runs, report = measure(data.select("ds", name), name, part, options)
        print(f"\n{name}\n{report.table()}\n{report.verdict}\n")
        rows.append(row(name, runs, report))
        config[name] = effective(runs[0].model)
    if options.validate:
        print("\n".join(f"{row.name}: {row.measured}; per seed {row.figures['seeds']}" for row in rows))
        return
    protocol = PROTOCOL.format(train=part.train, days=part.days)
    write(
        "quality.etth1_day_ahead", rows, protocol, config, options.quick, seeds=seeds_of(SEEDS, options.quick)
    )


def measure(data: pl.DataFrame, name: str, part: Part, options: Any) -> tuple[list[Fitted], BacktestReport]:
    """A model per seed, and their report beside the baselines."""
    train = data.head(part.train)
    runs = [
        fitted(SETTINGS, train, seed, options.quick, target=name) for seed in seeds_of(SEEDS, options.quick)
    ]
    task = runs[0].model.task
    forecasters: dict[str, Any] = {label(run): run.model for run in runs}
    if options.compare:
        forecasters |= classical_cache.opponents(task.schema, task.horizon, (24, 168))
    cutoffs = data["ds"][part.train - 1 :: DAY][: part.days].to_list()
    return runs, sw.backtest(forecasters, data, task=task, origins=cutoffs, progress=False)


def label(run: Fitted) -> str:
    """Name of a run in the report."""
    return f"seed {run.seed}"


def row(name: str, runs: list[Fitted], report: BacktestReport) -> Row:
    """One series' line of the table."""
    per_seed = [{**scoring.figures(report, label(run)), "fit_cpu_seconds": run.cpu} for run in runs]
    found, bar = middle(per_seed), BARS[name]
    low, high = COVERAGE
    naive = scoring.figures(report, "seasonal_naive")
    met = (
        found["mae"] <= bar.mae
        and found["mae_one_step"] <= bar.one_step
        and low <= found["coverage_80"] <= high
        and found["fit_cpu_seconds"] <= FIT_SECONDS
    )
    return Row(
        f"etth1_day_ahead_{name}",
        f"ETTh1 {name}: next 24 hours every midnight for 30 days",
        f"MAE ≤ {bar.mae:.2f}, one hour ahead ≤ {bar.one_step:.2f}, 80 % coverage {low}–{high}, "
        f"fit ≤ {FIT_SECONDS} CPU s",
        f"MAE {found['mae']:.3f}, one hour ahead {found['mae_one_step']:.3f}, "
        f"coverage {found['coverage_80']:.3f}, fit {found['fit_cpu_seconds']:.1f} CPU s "
        f"(seasonal naive {naive['mae']:.3f})",
        met,
        figures(runs, per_seed, report),
    )


def figures(
    runs: list[Fitted], per_seed: list[dict[str, float]], report: BacktestReport
) -> Mapping[str, Any]:
    """Every number of a series: medians, seeds, all other models."""
    own = {label(run) for run in runs}
    others = [name for name in (*report.models, *report.baselines) if name not in own]
    return {
        "median": middle(per_seed),
        "seeds": [
            {"seed": run.seed, **found, **run.outcome} for run, found in zip(runs, per_seed, strict=True)
        ],
        "others": {name: scoring.figures(report, name) for name in others},
    }


if __name__ == "__main__":
    main()
