"""Exact shares of named parts of the raw past in a forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from statewise.core.errors import ConfigError, StreamError, lookup
from statewise.explain.bands import Bands, bands
from statewise.explain.explanation import Explanation
from statewise.explain.players import Cast, cast
from statewise.explain.replay import Advance, Scene, coalition_forecasts, states_before
from statewise.explain.shapley import shapley_values
from statewise.explain.words import span
from statewise.recurrence import Recurrence
from statewise.rows.forecast import ForecastCodec
from statewise.rows.frequency import DAY
from statewise.rows.panel import Panel, Series
from statewise.tasks.forecast import Forecast
from statewise.tasks.forecaster import CHUNK, Forecaster

_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


@dataclass(frozen=True)
class Question:
    """Which forecasts to explain, as the user asks: see `Model.explain`."""

    series_id: str | None = None
    target: str | None = None
    horizon: slice | None = None
    at: Any = None
    origins: int = 1
    group: Mapping[str, Sequence[str]] | None = None
    progress: bool = True


def explain(
    codec: ForecastCodec, forecaster: Forecaster, task: Forecast, lags: int, panel: Panel, question: Question
) -> Explanation:
    """The Explanation of the forecasts `question` asks for. `lags`: raw steps the network looks back on."""
    series = choose_series(panel, question.series_id)
    target = place_of(task.schema.target, question.target, "target")
    steps = _steps(question.horizon, task.horizon)
    origins = _origins(codec, series, question)
    parts = bands(codec.frequency)
    players = cast(codec, parts, question.group)
    scenes = _scenes(codec, forecaster.network, series, origins, parts.newest + parts.before + lags + 1)
    values = _coalition_values(forecaster.network, scenes, players, parts, question.progress)
    chosen = np.asarray(values[:, :, target, steps, 1 + task.levels.index(0.5)], dtype=np.float64)
    scale, mean = codec.target_scale[target], codec.target_mean[target]
    decoded = chosen * scale + mean
    effects = np.stack([shapley_values(value)[::-1] for value in decoded])
    return Explanation(
        task.schema.target[target],
        series.id if len(panel) > 1 or question.series_id else "",
        tuple(codec.clock.texts(series.time[origins])),
        tuple(int(step) + 1 for step in steps),
        _subject(codec, series.time[origins[-1]], steps, len(origins)),
        codec.frequency.name,
        players.players,
        effects,
        decoded[:, 0],
        decoded[:, -1],
    )


def choose_series(panel: Panel, series_id: str | None) -> Series:
    """The series of that id; the first one by default."""
    names = {series.id: series for series in panel.series}
    return panel.series[0] if series_id is None else lookup(names, str(series_id), "series")


def place_of(names: Sequence[str], wanted: str | None, kind: str) -> int:
    """Place of the wanted name; 0 by default."""
    return 0 if wanted is None else lookup({name: i for i, name in enumerate(names)}, wanted, kind)


def _steps(wanted: slice | None, horizon: int) -> NDArray[np.int64]:
    """Places in the horizon, from 0."""
    if wanted is not None and not isinstance(wanted, slice):
        raise ConfigError(f"horizon: got {wanted!r}, want a slice of the steps: slice(0, 6) is the next six.")
    steps = np.arange(horizon)[wanted or slice(None)]
    if not len(steps):
        raise ConfigError(f"horizon: {wanted} holds none of the {horizon} steps ahead.")
    return steps


def _origins(codec: ForecastCodec, series: Series, question: Question) -> NDArray[np.int64]:
    """Rows of the series that the forecasts are made at, rising: the last `origins`, a day apart."""
    last = len(series) - 1 if question.at is None else _row_at(codec, series, question.at)
    frequency = codec.frequency
    short = frequency.unit == "s" and frequency.count < DAY
    apart = max(1, DAY // frequency.count) if short else 1
    if question.origins < 1 or last - (question.origins - 1) * apart < 0:
        raise ConfigError(
            f"origins: got {question.origins}, want 1 to {last // apart + 1} "
            f"({span(apart, frequency)} apart, as many as the rows hold)."
        )
    return last - apart * np.arange(question.origins - 1, -1, -1)


def _row_at(codec: ForecastCodec, series: Series, at: Any) -> int:
    try:
        moment = np.datetime64(codec.clock.seconds(at, None, "at"), "s")
    except StreamError as error:
        raise ConfigError(str(error)) from None
    row = int(np.searchsorted(series.time, moment))
    if row == len(series) or series.time[row] != moment:
        first, last = codec.clock.texts(series.time[[0, -1]])
        raise ConfigError(f"at: got '{at}', want a grid time of the data, from {first} to {last}.")
    return row


def _scenes(
    codec: ForecastCodec, network: Recurrence, series: Series, origins: NDArray[np.int64], replayed: int
) -> list[Scene]:
    """The newest `replayed` rows of each origin, and the state before them.

    They go beyond the bands by the lags, so that a fresh state has filled these before the bands begin.
    """
    starts = np.maximum(origins + 1 - replayed, 0)
    now, future = (torch.from_numpy(array) for array in codec.encode(series))
    profile = torch.from_numpy(codec.profile[codec.phase(series.time)].astype(np.float32))
    return [
        Scene(
            state,
            now[start : origin + 1],
            future[start : origin + 1 + codec.horizon],
            profile[start : origin + 1],
        )
        for start, origin, state in zip(
            starts, origins, states_before(network, now, future, starts, CHUNK), strict=True
        )
    ]


def _coalition_values(
    network: Recurrence, scenes: Sequence[Scene], players: Cast, parts: Bands, progress: bool
) -> NDArray[np.float32]:
    """Standardised forecasts [O, 2**n, D, H, 1 + Q] of every coalition at every origin."""
    from tqdm import tqdm

    found, count = [], len(players.players)
    edges = [_edges(len(scene.now), parts) for scene in scenes]
    total = sum(_row_steps(count, len(scene.now), edge) for scene, edge in zip(scenes, edges, strict=True))
    with tqdm(
        total=total, desc="explain", disable=None if progress else True, delay=2, bar_format=_BAR
    ) as bar:
        advance: Advance = bar.update
        for scene, edge in zip(scenes, edges, strict=True):
            found.append(coalition_forecasts(network, scene, players, edge, advance).numpy())
    return np.stack(found)


def _edges(length: int, parts: Bands) -> tuple[int, int]:
    """Where among the replayed rows the band before and the newest band begin."""
    return max(length - parts.newest - parts.before, 0), max(length - parts.newest, 0)


def _row_steps(players: int, length: int, edges: tuple[int, int]) -> int:
    """Rows times coalitions of one scene."""
    spans = np.diff([0, *edges, length]).tolist()
    return sum(span * 2 ** (players - 2 + part) for part, span in enumerate(spans))


def _subject(codec: ForecastCodec, origin: np.datetime64, steps: NDArray[np.int64], origins: int) -> str:
    """The steps in words: "tomorrow's forecast", "the forecast 2 hours ahead" …"""
    frequency = codec.frequency
    first, last = int(steps[0]) + 1, int(steps[-1]) + 1
    if len(steps) == 1:
        if first == 1 and frequency.unit == "s" and frequency.count == DAY:
            return "tomorrow's forecast"
        return f"the forecast {span(first, frequency)} ahead"
    if first > 1:
        return f"the forecast {first} to {last} steps ahead ({frequency.name} each)"
    if origins == 1 and _is_tomorrow(codec, origin, last):
        return "tomorrow's forecast"
    words = span(last, frequency)
    return f"the next {words}{chr(39) if words.endswith('s') else chr(39) + 's'} forecast"


def _is_tomorrow(codec: ForecastCodec, origin: np.datetime64, last: int) -> bool:
    """The steps are one whole day on the wall, the one after the origin."""
    if codec.frequency.whole_days:
        return False
    times = codec.clock.wall(codec.times_after(origin, last + 1)).astype("datetime64[s]")
    before = codec.clock.wall(np.array([origin])).astype("datetime64[D]")[0]
    days = times.astype("datetime64[D]")
    return bool((days[:-1] == before + 1).all() and days[-1] == before + 2 and times[0] == days[0])
