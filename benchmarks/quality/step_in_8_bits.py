"""What keeping the weights in 8 bits costs a forecaster: its score live, in float32 and in 8 bits.

python -m benchmarks.quality.step_in_8_bits
"""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from benchmarks.fitting import effective, fitted, seeds_of
from benchmarks.recording import Row, arguments, write

import statewise as sw
from statewise.nn.native_step import step_program
from statewise.streaming.native_engine import NativeEngine

SETTINGS: dict[str, dict[str, Any]] = {
    "task": {"horizon": 24, "observed": ("temperature", "humidity"), "calibration": 0.03},
    "fit": {"cell": "lstm", "hidden_size": 64, "num_layers": 2, "validation": 0.0},
    "train": {"steps": 150},
}
SEEDS = (0, 1, 2)
START, TRAIN, DAYS = datetime(2017, 1, 1), timedelta(days=291), 73
BAR = 0.01

PROTOCOL = """Power of zone 1 of Tetouan, hourly, with temperature and humidity. Trained on the first 291
days; then every hour of the whole year goes through the live step of the compiled kernels, once with weights
in float32 and once in 8 bits (one scale per output, inputs by the largest of their row; what was solved in
closed form stays in float32), and all forecasts of the next 24 hours made in the last 73 days are scored:
pinball loss over 9 quantiles and absolute error of the mean. Seeds {seeds}; the change is the largest over
the seeds."""


def main() -> None:
    """Train, run both and write the row."""
    options = arguments(__doc__).parse_args()
    data = zone()
    seeds = seeds_of(SEEDS, options.quick)
    runs = [
        fitted(SETTINGS, data.filter(pl.col("ds") < START + TRAIN), seed, options.quick) for seed in seeds
    ]
    found = [scores(run.model, data) for run in runs]
    for each in found:
        print(each)
    row = result(found)
    write(
        "quality.step_in_8_bits", [row], PROTOCOL.format(seeds=seeds), effective(runs[0].model), options.quick
    )


def zone() -> pl.DataFrame:
    """ds, y, temperature and humidity."""
    wide = sw.datasets.load("tetouan_power", every="1h").sort("ds")
    target = sw.datasets.info("tetouan_power").target[0]
    return wide.select("ds", pl.col(target).alias("y"), "temperature", "humidity")


def scores(model: sw.Model, data: pl.DataFrame) -> dict[str, float]:
    """Pinball loss and absolute error (in the target's spread) of both, over the last days."""
    found = {}
    for name, int8 in (("fp32", False), ("int8", True)):
        program = step_program(
            model.forecaster, {spec.name: spec.shape for spec in model.bundle.inputs}, int8=int8
        )
        outputs, target = answers(NativeEngine(program, ""), model, data)
        levels = np.array(model.task.levels)
        error = target[..., None] - outputs[..., 1:]
        found[f"{name}_pinball"] = float(np.nanmean(np.maximum(levels * error, (levels - 1) * error)))
        found[f"{name}_mae"] = float(np.nanmean(np.abs(target - outputs[..., 0])))
    return found


def answers(engine: NativeEngine, model: sw.Model, data: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts [M, H, 1 + Q] made in the last days but the very last, and what came [M, H]."""
    now, future = model.codec.encode(model.codec.panel(data).series[0])
    horizon, first = model.task.horizon, len(now) - 24 * DAYS
    state, kept = engine.initial(), []
    for step in range(len(now) - horizon):
        given = (now[step : step + 1], future[None, step + 1 : step + 1 + horizon])
        output, state = engine.step(given, state)
        if step >= first:
            kept.append(output[0, 0])
    ahead = np.lib.stride_tricks.sliding_window_view(now[:, 0], horizon)[first + 1 :]
    return np.stack(kept), ahead[: len(kept)]


def result(found: list[dict[str, float]]) -> Row:
    """The line of the table."""
    changes = {
        score: max(each[f"int8_{score}"] / each[f"fp32_{score}"] - 1 for each in found)
        for score in ("pinball", "mae")
    }
    middle = {name: median(each[name] for each in found) for name in found[0]}
    return Row(
        "step_in_8_bits",
        "A forecaster (LSTM, 64 units, 2 layers) stepped live in 8 bits instead of float32",
        f"score at most {BAR:.0%} worse",
        f"pinball {changes['pinball']:+.2%}, absolute error {changes['mae']:+.2%} (worst of the seeds)",
        max(changes.values()) <= BAR,
        {"median": middle, "seeds": found},
    )


if __name__ == "__main__":
    main()
