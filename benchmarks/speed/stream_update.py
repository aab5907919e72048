"""One observation into a live stream: milliseconds per update, and whether it stays flat over a million.

python -m benchmarks.speed.stream_update
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any, Literal

import numpy as np
import polars as pl
from benchmarks.fitting import effective, fitted
from benchmarks.recording import Row, arguments, write

import statewise as sw
from statewise.streaming.forecast import ForecastStream

SETTINGS: dict[str, dict[str, Any]] = {
    "task": {"horizon": 24, "id": None, "calibration": 0.03},
    "fit": {"cell": "lstm", "hidden_size": 64, "num_layers": 1},
    "train": {"steps": 10},  # the speed of a step does not depend on its weights
}
COVARIATES = ("a", "b", "c", "d", "e", "f")
ENGINES: tuple[Literal["native", "onnx", "torch"], ...] = ("native", "onnx", "torch")
TRAIN_ROWS = 1500
REPEATS, UPDATES, WARM = 9, 2000, 500  # of each variant, in turns
LONG, EDGE = 1_000_000, 10_000  # the long run, and how much of both its ends is compared
QUICK_LONG = 20_000
BAR_MS = 0.15
FLAT = 1.2  # the last updates may take this times the first ones
GROWTH_MB = 8.0  # of resident memory between the two ends of the long run
START = datetime(2000, 1, 1)

PROTOCOL = """
model.stream(engine).update(row) in one Python process on one thread: a dict of "ds" (ISO text), "y" and the
covariates in, a forecast of 24 hours with 9 calibrated quantiles in units out; LSTM with 64 units, one
layer. Variants run in turns, {repeats} times {updates:,} updates each; the median over all updates of a
turn, then the median over turns. Wall time; making the row is not timed. Long run: {long:,} updates of one
stream ({first}, no covariates); median of the first and the last {edge:,}; resident memory from
/proc/self/statm at both."""


def main() -> None:
    options = arguments(__doc__).parse_args()
    models = {0: model(()), len(COVARIATES): model(COVARIATES)}
    variants = {
        f"{engine}, {count} covariates": (models[count].stream(engine=engine), rows(count))
        for count in models
        for engine in ENGINES
    }
    turns = interleaved(variants, 2 if options.quick else REPEATS)
    found = {name: median(times) for name, times in turns.items()}
    for name, value in found.items():
        print(f"{name}: {value:.3f} ms")
    long = long_run(models[0].stream(engine=ENGINES[0]), QUICK_LONG if options.quick else LONG)
    print(long)
    figures = {"median_ms": found, "turns_ms": turns}
    total = QUICK_LONG if options.quick else LONG
    protocol = PROTOCOL.format(
        repeats=len(turns[next(iter(turns))]), updates=UPDATES, long=total, edge=EDGE, first=ENGINES[0]
    )
    made = [speed_row(found, figures), flat_row(long, total)]
    write("speed.stream_update", made, protocol, effective(models[0]), options.quick)


def model(observed: Sequence[str]) -> sw.Model:
    """A forecaster of an hourly series with covariates, hardly trained."""
    source = rows(len(observed))
    data = pl.DataFrame([next(source) for _ in range(TRAIN_ROWS)])
    data = data.with_columns(pl.col("ds").str.to_datetime())
    return fitted(SETTINGS, data, 0, False, observed=observed).model


def rows(covariates: int) -> Iterator[dict[str, Any]]:
    """Endless hourly rows."""
    rng = np.random.default_rng(0)
    names, hour, time = COVARIATES[:covariates], 0, START
    while True:
        noise = rng.normal(size=(1000, covariates + 1)).tolist()
        for first, *others in noise:
            y = 100 + 10 * np.sin(2 * np.pi * hour / 24) + first
            yield {"ds": time.isoformat(), "y": float(y), **dict(zip(names, others, strict=True))}
            hour, time = hour + 1, time + timedelta(hours=1)


def interleaved(
    variants: dict[str, tuple[ForecastStream, Iterator[dict[str, Any]]]], turns: int
) -> dict[str, list[float]]:
    """Median ms per update of each turn of each variant; in turns, so that all share the machine's moods."""
    for stream, source in variants.values():
        updates(stream, source, WARM)
    found: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(turns):
        for name, (stream, source) in variants.items():
            found[name].append(median(updates(stream, source, UPDATES)) / 1e6)
    return found


def updates(stream: ForecastStream, source: Iterator[dict[str, Any]], count: int) -> list[int]:
    """Nanoseconds of each of `count` updates."""
    times = []
    for _ in range(count):
        row = next(source)
        begin = perf_counter_ns()
        stream.update(row)
        times.append(perf_counter_ns() - begin)
    return times


def long_run(stream: ForecastStream, count: int) -> dict[str, float]:
    """Medians (ms) and resident memory (MB) at both ends of `count` updates of one stream."""
    from tqdm import tqdm

    source = rows(0)
    updates(stream, source, WARM)
    edge = min(EDGE, count // 2)
    first = median(updates(stream, source, edge)) / 1e6
    before = resident_mb()
    blocks = (count - 2 * edge) // edge
    middle = [
        median(updates(stream, source, edge)) / 1e6 for _ in tqdm(range(blocks), "updates", leave=False)
    ]
    last = median(updates(stream, source, edge)) / 1e6
    after = resident_mb()
    slowest = max([first, *middle, last])
    return {
        "updates": float(edge * (blocks + 2)),
        "first_ms": first,
        "last_ms": last,
        "slowest_block_ms": slowest,
        "resident_mb_before": before,
        "resident_mb_after": after,
    }


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def speed_row(found: dict[str, float], figures: dict[str, Any]) -> Row:
    """The line on milliseconds: the bar is for the faster engine, with and without covariates."""
    parts = ", ".join(f"{name}: {value:.3f}" for name, value in found.items())
    best = [value for name, value in found.items() if name.startswith(ENGINES[0])]
    return Row(
        "stream_update",
        "Live stream: ms per update in Python, hidden 64, horizon 24, calibrated",
        f"≤ {BAR_MS} ms ({ENGINES[0]} engine)",
        parts,
        max(best) <= BAR_MS,
        figures,
    )


def flat_row(long: dict[str, float], total: int) -> Row:
    """The line on the long run."""
    growth = long["resident_mb_after"] - long["resident_mb_before"]
    return Row(
        "stream_update_flat",
        f"Live stream: first and last {EDGE:,} of {total:,} updates",
        f"flat: last ≤ {FLAT} × first, memory + {GROWTH_MB:g} MB at most",
        f"{long['first_ms']:.3f} ms, then {long['last_ms']:.3f} ms; memory {growth:+.1f} MB",
        long["last_ms"] <= FLAT * long["first_ms"] and growth <= GROWTH_MB,
        long,
    )


if __name__ == "__main__":
    main()
