"""Power of three zones of Tetouan with the weather: the next 24 hours, over the last 20 % of the year.

python -m benchmarks.quality.tetouan_power              the result; MSTL takes minutes, once
python -m benchmarks.quality.tetouan_power --validate   inside the training part: choose settings here
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl
from benchmarks import scoring
from benchmarks.classical_cache import MODELS, Cached, opponents
from benchmarks.fitting import Fitted, effective, fitted, seeds_of
from benchmarks.recording import Row, arguments, middle, write

import statewise as sw
from statewise.evaluation.report import BacktestReport

# Chosen with --validate alone.
SETTINGS: dict[str, dict[str, Any]] = {
    "task": {
        "horizon": 24,
        "observed": ("temperature", "humidity", "wind_speed", "general_diffuse_flows", "diffuse_flows"),
        "static": ("unique_id",),
    },
    "fit": {"members": 2, "validation": 0.0},  # options of sw.fit
    "train": {"steps": 150, "learning_rate": 1e-3},  # of sw.TrainConfig on top of those of sw.fit
}
SEEDS = (0, 1, 2)
SEASONS = (24, 168)
START, DAY = datetime(2017, 1, 1), timedelta(days=1)
QUICK_DAYS = 4


@dataclass(frozen=True)
class Part:
    """Days trained on, and days forecast after them."""

    train: int
    days: int


TEST, VALIDATION = Part(291, 73), Part(233, 58)  # of 364 days; the last 20 % of all, and of the training part

PROTOCOL = """
Hourly means of the three zones as three series of one model, with the weather as columns known up to the
cutoff only (no weather forecast). Trained once on the first {train} days, with no early stopping;
then one forecast of the next 24 hours every midnight of the last {days} days, no refit.
All models answer the same {days} origins. AutoETS and AutoTheta (season 24) are fitted at the first origin
and then fed the growing history; MSTL (seasons 24 and 168) decomposes anew at every origin; they see the
target alone. Skill is 1 - MASE / MASE of the rival over all zones, with the 95 % half-width of the
difference paired over origins. The best classical model is the one with the smallest mean MASE on the test
part itself, which favours it. Figures of statewise are medians over seeds; the skill is that of the seed
with the middle MASE."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--validate", action="store_true", help="inside the training part; nothing is stored")
    parser.add_argument("--no-compare", action="store_true", help="without the models of statsforecast")
    options = parser.parse_args()
    part = VALIDATION if options.validate else TEST
    data = zones()
    start = START + part.train * DAY
    runs = [
        fitted(SETTINGS, data.filter(pl.col("ds") < start), seed, options.quick)
        for seed in seeds_of(SEEDS, options.quick)
    ]
    task = runs[0].model.task
    rivals = {} if options.no_compare else opponents(task.schema, task.horizon, SEASONS)
    if options.quick:
        rivals.pop("AutoTheta", None)  # its fit takes half a minute
    days = QUICK_DAYS if options.quick else part.days
    cutoffs = [start + i * DAY - timedelta(hours=1) for i in range(days)]
    data = data.filter(pl.col("ds") < start + part.days * DAY)
    report = sw.backtest(
        {**{label(run): run.model for run in runs}, **rivals},
        data,
        task=task,
        origins=cutoffs,
        progress=False,
    )
    print(f"\n{report.table()}\n")
    scale = scoring.seasonal_scale(data.filter(pl.col("ds") < start), SEASONS[0])
    rows = result(runs, report, rivals, scale)
    if options.validate:
        print(rows[0].measured, rows[0].figures["seeds"], sep="\n")
        return
    protocol = PROTOCOL.format(train=part.train, days=days)
    seeds = [run.seed for run in runs]
    write("quality.tetouan_power", rows, protocol, effective(runs[0].model), options.quick, seeds=seeds)


def zones() -> pl.DataFrame:
    """unique_id (zone1 …), ds, y and the weather, hourly."""
    wide = sw.datasets.load("tetouan_power", every="1h").drop("unique_id")
    info = sw.datasets.info("tetouan_power")
    weather = ["ds", *info.observed]
    long = wide.unpivot(on=info.target, index=weather, variable_name="unique_id", value_name="y")
    return long.select("unique_id", "ds", "y", *info.observed)


def label(run: Fitted) -> str:
    """Name of a run in the report."""
    return f"statewise {run.seed}"


def result(
    runs: list[Fitted], report: BacktestReport, rivals: Mapping[str, Cached], scale: Mapping[str, float]
) -> list[Row]:
    """The line of the table."""
    own = [label(run) for run in runs]
    per_seed = [{**scoring.figures(report, label(run)), "fit_cpu_seconds": run.cpu} for run in runs]
    found = middle(per_seed)
    ranked = [name for name in report.models if name in own]  # best first
    shown = ranked[len(ranked) // 2]
    against = ["seasonal_naive"]
    against += [next(name for name in report.models if name in rivals)] if rivals else []
    skills = [scoring.skill(report, shown, rival, scale) for rival in against]
    text = ", ".join(f"{s['skill']:+.3f} ± {s['half_width']:.3f} over {s['rival']}" for s in skills)
    others = [name for name in (*report.models, *report.baselines) if name not in own]
    figures = {
        "median": found,
        "seeds": [
            {"seed": run.seed, **each, **run.outcome} for run, each in zip(runs, per_seed, strict=True)
        ],
        "skill": {"model": shown, "against": skills},
        "mae_by_zone": {name: scoring.by_series(report, name) for name in (shown, *others)},
        "others": {name: scoring.figures(report, name) for name in others},
        "cpu_seconds_of_all_answers": {name: rival.cpu for name, rival in rivals.items()},
    }
    return [
        Row(
            "tetouan_power",
            "Tetouan power, 3 zones, next 24 hours every midnight of the last 20 % of the year",
            f"skill over seasonal naive and over the best of {', '.join(MODELS)}",
            f"skill {text}; MASE {found['mase']:.3f}, 80 % coverage {found['coverage_80']:.3f}, "
            f"fit {found['fit_cpu_seconds']:.0f} CPU s",
            len(skills) == 2 and all(s["skill"] > 0 and s["more_than_noise"] for s in skills),
            figures,
        )
    ]


if __name__ == "__main__":
    main()
