"""Which single reading moves which step of the forecast: one value changed, the rows after it replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from statewise import state as states
from statewise.core.errors import ConfigError, suggestion
from statewise.explain.attribution import choose_series, place_of
from statewise.explain.probe import Curve, Probe
from statewise.explain.replay import states_before
from statewise.recurrence import Recurrence
from statewise.rows.forecast import ForecastCodec
from statewise.rows.panel import Panel
from statewise.state import State
from statewise.tasks.forecast import Forecast
from statewise.tasks.forecaster import CHUNK, Forecaster

Floats = NDArray[np.float64]
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
_LOW_HIGH = (0.1, 0.9)  # quantiles of the covariate, the counterfactual values
_SCAN = 41  # values tried when looking for a threshold
_BATCH = 512  # replays at once


@dataclass(frozen=True)
class ProbeQuestion:
    """What to probe, as the user asks: see `Model.probe`."""

    covariates: Sequence[str] | None = None
    max_lag: int = 48
    origins: int = 200
    series_id: str | None = None
    target: str | None = None
    progress: bool = True


class _Windows(NamedTuple):
    """The newest rows of N origins, and the state before each of these rows."""

    now: Tensor  # [N, L, F], the origin last
    future: Tensor  # [N, L, H, G]
    before: list[State]  # L states of batch N


def probe(
    codec: ForecastCodec, forecaster: Forecaster, task: Forecast, panel: Panel, question: ProbeQuestion
) -> Probe:
    """How far each covariate's reading at each lag moves each step of the median forecast."""
    from tqdm import tqdm

    series = choose_series(panel, question.series_id)
    names = _numeric(codec, question.covariates)
    target = place_of(task.schema.target, question.target, "target")
    now, future = (torch.from_numpy(array) for array in codec.encode(series))
    windows = _windows(forecaster.network, now, future, _places(len(series), question), question.max_lag)
    reader = _Reader(forecaster.network, windows, (target, 1 + task.levels.index(0.5)), codec)
    # A column known ahead has readings to come, with negative lags.
    first = -task.horizon if any(name in task.known for name in names) else 0
    lags = np.arange(first, question.max_lag + 1, dtype=np.int64)
    base = reader.forecasts(0, None, np.zeros(1))
    changes = np.zeros((len(names), len(base), len(lags), task.horizon))
    total = len(names) * int((np.maximum(lags, 0) + 1).sum())
    with tqdm(
        total=total, desc="probe", disable=None if question.progress else True, delay=2, bar_format=_BAR
    ) as bar:
        for c, name in enumerate(names):
            values = _counterfactuals(now[:, codec.channels.index(name)].numpy())
            for i, lag in enumerate(lags.tolist()):
                if lag >= 0 or name in task.known:
                    made = reader.forecasts(lag, name, values)
                    changes[c, :, i] = np.abs(made - base).max(axis=1)
                bar.update(max(lag, 0) + 1)
    spread = base[:, 0].std(axis=0)
    found = Probe(task.schema.target[target], names, codec.frequency, lags, changes, spread, None)
    return _with_curve(found, codec, reader, now) if found.moves else found


def _numeric(codec: ForecastCodec, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The covariates to probe: numbers that vary with time."""
    numbers = [c.name for c in codec.columns if c.role in ("observed", "known") and c.categories is None]
    if wanted is None and not numbers:
        raise ConfigError("covariates: the model has no covariate of numbers to probe.")
    for name in wanted or ():
        if name not in numbers:
            raise ConfigError(f"covariates: '{name}' is no covariate of numbers.{suggestion(name, numbers)}")
    return tuple(numbers if wanted is None else wanted)


def _places(length: int, question: ProbeQuestion) -> NDArray[np.int64]:
    """Origins drawn at random (always the same ones) from rows with `max_lag` rows before them, rising."""
    first = question.max_lag + (length - question.max_lag) // 4  # the quarter before warms the state
    if question.max_lag < 0 or question.origins < 1 or first >= length:
        raise ConfigError(
            f"probe: got max_lag {question.max_lag} and {question.origins} origins, want a lag of 0 to "
            f"{length - 1} (the rows there are) and at least 1 origin."
        )
    pool = np.arange(first, length)
    chosen = np.random.default_rng(0).choice(pool, min(question.origins, len(pool)), replace=False)
    return np.sort(chosen)


@torch.no_grad()
def _windows(
    network: Recurrence, now: Tensor, future: Tensor, places: NDArray[np.int64], max_lag: int
) -> _Windows:
    horizon = len(future) - len(now)
    ahead = future.unfold(0, horizon, 1)[1:].transpose(1, 2)
    index = torch.from_numpy(places - max_lag).unsqueeze(1) + torch.arange(max_lag + 1)
    state = states.concat(states_before(network, now, future, places - max_lag, CHUNK))
    windows = _Windows(now[index], ahead[index], [])
    for row in range(max_lag + 1):
        windows.before.append(state)
        if row < max_lag:
            _, state = network.step((windows.now[:, row], windows.future[:, row]), state)
    return windows


class _Reader:
    """Forecasts with one reading changed."""

    def __init__(
        self, network: Recurrence, windows: _Windows, chosen: tuple[int, int], codec: ForecastCodec
    ) -> None:
        self.network, self.windows, self.chosen, self.codec = network, windows, chosen, codec
        self.scale, self.mean = codec.target_scale[chosen[0]], codec.target_mean[chosen[0]]

    @torch.no_grad()
    def forecasts(self, lag: int, name: str | None, values: Floats, origins: Tensor | None = None) -> Floats:
        """Forecasts [N, V, H] in units with each of V values as the reading of a column `lag` steps ago.

        A missing reading stays missing; name None changes nothing.
        """
        windows, (target, place) = self.windows, self.chosen
        rows = torch.arange(len(windows.now)) if origins is None else origins
        every = rows.repeat_interleave(len(values))
        column = torch.from_numpy(values).to(windows.now.dtype).repeat(len(rows))
        begin = windows.now.shape[1] - 1 - max(lag, 0)
        found = []
        for part, value in zip(torch.split(every, _BATCH), torch.split(column, _BATCH), strict=True):
            x = windows.now[part, begin:], windows.future[part, begin:]
            if name is not None:
                reading = self._reading(x, lag, name)
                reading.copy_(torch.where(reading.isnan(), reading, value))
            made, _ = self.network(x, states.take(windows.before[begin], part))
            found.append(made[:, -1, target, :, place].clone())
        standard = torch.cat(found).view(len(rows), len(values), -1).numpy().astype(np.float64)
        return np.asarray(standard * self.scale + self.mean)

    def _reading(self, x: tuple[Tensor, Tensor], lag: int, name: str) -> Tensor:
        """The place [B] of a reading: in the first row, or among what the last row knows ahead."""
        channel, layout = self.codec.channels.index(name), self.codec.layout
        if lag >= 0:
            return x[0][:, 0, channel]
        return x[1][:, -1, -lag - 1, channel - layout.now("known").start]


def _counterfactuals(values: NDArray[np.float32]) -> Floats:
    """A usual low and a usual high value; the ends where these are the same (a rare flag)."""
    there = values[~np.isnan(values)].astype(np.float64)
    if not len(there):
        return np.zeros(2)
    low, high = np.quantile(there, _LOW_HIGH)
    return np.array([low, high] if low < high else [there.min(), there.max()])


def _with_curve(found: Probe, codec: ForecastCodec, reader: _Reader, now: Tensor) -> Probe:
    """The probe with the response of its strongest move, at the origins where it acts most."""
    move = found.moves[0]
    channel = codec.channels.index(move.covariate)
    column = next(c for c in codec.columns if c.name == move.covariate)
    there = now[:, channel].numpy()
    ends = np.quantile(there[~np.isnan(there)].astype(np.float64), (0.01, 0.99))
    grid = np.linspace(float(ends[0]), float(ends[1]), _SCAN)
    origins = torch.from_numpy(found.strongest_origins(move).copy())
    made = reader.forecasts(move.lag, move.covariate, grid, origins)[:, :, move.step - 1]
    return found.with_curve(Curve(grid * column.scale + column.mean, made.mean(axis=0)))
