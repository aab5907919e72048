"""`statewise demo`: the main job on embedded real data, rows to live stream, in under three minutes."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statewise.cli.arguments import need_matplotlib
from statewise.core.errors import ConfigError, LawError

if TYPE_CHECKING:
    import polars as pl

    from statewise.evaluation.report import BacktestReport
    from statewise.explain.explanation import Explanation
    from statewise.models.forecast import ForecastModel
    from statewise.tasks.forecast import Forecast

WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure")
AIRPORT = "JFK"
LAST_TRAINED = datetime(2013, 11, 10, 23)  # New York time; the seven weeks after are the test
_STREAMED = timedelta(weeks=2)
_AGREEMENT = 1e-4  # of a live forecast with the batch one, relative: both are float32


@dataclass(frozen=True)
class Size:
    """How much work a demo does."""

    steps: int
    origins: int
    explained: int


FULL = Size(steps=300, origins=49, explained=7)
QUICK = Size(steps=40, origins=14, explained=2)


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "demo",
        help="forecast tomorrow's flights from New York: the whole way in under 3 minutes",
        description="Trains on the hourly departures and delays of JFK, LGA and EWR in 2013 (CC0, in the "
        "package), tests against the baselines on the last seven weeks, explains, saves and streams.",
    )
    parser.add_argument("--quick", action="store_true", help="fewer steps and origins: under 40 s")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("statewise-demo"), help="default: statewise-demo"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Do everything, then print what came of it."""
    need_matplotlib()
    folder, size = _made(args.out), QUICK if args.quick else FULL
    begin = time.monotonic()
    print("The next 24 hours of departures and of mean departure delay at JFK, LGA and EWR.\n")
    from statewise.ops.threads import one_thread

    with one_thread():  # a second gains nothing on a network this small
        rows, train = _rows()
        model = _fit(flights_task(), train, size)
        report = _backtest(model, rows, size, folder)
        explanation = _explain(model, rows, size, folder)
        _stream(model, rows, folder)
    print(f"\n{report}\n\n{explanation.heading}:\n{explanation.sentence}\n")
    _close(folder, time.monotonic() - begin)
    return 0


def flights_task() -> Forecast:
    """The task of the demo; its settings were chosen on the last tenth of the training rows."""
    from statewise.tasks.forecast import Forecast

    return Forecast(
        target=("departures", "delay"),
        horizon=24,
        known=("scheduled",),
        observed=WEATHER,
        static=("unique_id",),
        lags=48,
        difference=0,  # no flight leaves at night: the newest value says less than the running level
        halflife=4 * 168.0,
    )


def _rows() -> tuple[pl.DataFrame, pl.DataFrame]:
    """All rows, and those to train on."""
    import polars as pl

    from statewise.data.datasets import load

    rows = load("nyc_flights")
    zone = rows.schema["ds"].time_zone  # type: ignore[attr-defined]
    last = pl.lit(LAST_TRAINED).dt.replace_time_zone(zone)
    train = rows.filter(pl.col("ds") <= last)
    _say(
        f"1  data: {len(rows):,} hourly rows of 3 airports with weather, 2013 (CC0). Trained on the rows "
        f"up to {LAST_TRAINED:%d %B}, tested on the seven weeks after."
    )
    return rows, train


def _fit(task: Forecast, train: pl.DataFrame, size: Size) -> ForecastModel:
    from statewise.training.config import TrainConfig
    from statewise.training.fit import fit

    _say(f"2  fit: an LSTM of 64 units, {size.steps} steps; the last tenth of the rows chooses the weights.")
    config = TrainConfig(steps=size.steps, batch_size=8, average=0.98, validate_every=20)
    model = fit(task, train, cell="lstm", hidden_size=64, train=config)
    return model


def _backtest(model: ForecastModel, rows: pl.DataFrame, size: Size, folder: Path) -> BacktestReport:
    from statewise.evaluation.backtest import backtest

    _say(f"3  backtest: every evening of the last {size.origins} days asks for the next 24 hours.")
    report = backtest(model, rows, origins=size.origins)
    for target in model.task.schema.target:
        report.picture(folder / f"{target}.png", AIRPORT, target)
    (folder / "report.json").write_text(json.dumps(report.to_mapping(), indent=1) + "\n", encoding="utf-8")
    return report


def _explain(model: ForecastModel, rows: pl.DataFrame, size: Size, folder: Path) -> Explanation:
    _say(f"4  explain: exact shares of the parts of the past, over {size.explained} evenings.")
    history, future = _last_evening(rows)
    explanation = model.explain(
        history,
        future,
        series_id=AIRPORT,
        target="delay",
        origins=size.explained,
        group={"weather": WEATHER},
    )
    explanation.picture(folder / "explanation.png")
    return explanation


def _last_evening(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What is known on the evening before the last day: all rows until then, and the next day's schedule."""
    import polars as pl

    evening = pl.col("ds") <= pl.col("ds").max() - timedelta(days=1)
    return rows.filter(evening), rows.filter(~evening).select("unique_id", "ds", "scheduled")


def _stream(model: ForecastModel, rows: pl.DataFrame, folder: Path) -> None:
    """Save, load, stream two weeks of one airport; the last live forecast must equal the batch one."""
    import polars as pl

    from statewise.models.forecast import ForecastModel
    from statewise.models.loading import load_as

    path = model.save(folder / "flights.sw", onnx=False)
    history, future = (part.filter(pl.col("unique_id") == AIRPORT) for part in _last_evening(rows))
    history = history.filter(pl.col("ds") > pl.col("ds").max() - _STREAMED)
    lines = _live_rows(history, [*history["scheduled"], *future["scheduled"]], model.task.horizon)
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "rows.jsonl").write_text(text, encoding="utf-8")
    live = load_as(path, ForecastModel, "demo").stream(AIRPORT)
    begin = time.perf_counter()
    for line in lines:
        forecast = live.update(line)
    each = (time.perf_counter() - begin) / len(lines)
    gap = _difference(list(forecast.rows), model.predict(history, future).to_dicts())
    if not gap < _AGREEMENT:
        raise LawError(f"demo: the live forecast and the batch forecast differ by {gap:.2g} (relative).")
    _say(
        f"5  stream: {len(lines)} rows of {AIRPORT} through the saved bundle, {1000 * each:.2f} ms each; the "
        f"last live forecast equals the batch one (largest relative difference {gap:.0e})."
    )


def _live_rows(history: pl.DataFrame, scheduled: list[int], horizon: int) -> list[dict[str, Any]]:
    """Rows as a live source sends them: with the schedule of the next `horizon` hours."""
    import polars as pl

    rows = history.with_columns(pl.col("ds").dt.to_string("%Y-%m-%dT%H:%M:%S%:z")).to_dicts()
    ahead = (scheduled[place + 1 : place + 1 + horizon] for place in range(len(rows)))
    return [{**row, "future": {"scheduled": values}} for row, values in zip(rows, ahead, strict=True)]


def _difference(live: list[dict[str, Any]], batch: list[dict[str, Any]]) -> float:
    """Largest difference of two forecasts, as a share of the largest value."""
    names = [name for name in live[0] if name not in ("ds", "target")]
    pairs = [(a[name], b[name]) for a, b in zip(live, batch, strict=True) for name in names]
    return float(max(abs(a - b) for a, b in pairs) / max(abs(b) for _, b in pairs))


def _close(folder: Path, seconds: float) -> None:
    for name, what in (
        ("departures.png", "forecasts and what happened, skill per hour ahead, reliability"),
        ("delay.png", "the same for the mean delay"),
        ("explanation.png", "shares of the past, and their part in each hour ahead"),
        ("report.json", "all scores"),
        ("flights.sw", "the saved model"),
        ("rows.jsonl", "two weeks of live rows"),
    ):
        print(f"  {folder / name!s:<{len(str(folder)) + 18}} {what}")
    quoted = shlex.quote(str(folder))
    print(f"\nStream it:  {_command()} stream {quoted}/flights.sw < {quoted}/rows.jsonl")
    print(f"Done in {seconds:.0f} s.")


def _command() -> str:
    """How this program was called, to be called again."""
    program = Path(sys.argv[0])
    if program.name != "statewise":
        return "python -m statewise"
    near = os.path.relpath(program)
    return "statewise" if near.startswith("..") else shlex.quote(near)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ConfigError(f"{folder}: a file is in the way; choose another folder with --out.") from None
    return folder


def _say(text: str) -> None:
    print(text, flush=True)
