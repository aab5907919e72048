"""Classical models of statsforecast under the same protocol as everything else (extra `compare`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from statewise.core.errors import ConfigError, MissingExtraError, suggestion
from statewise.evaluation.series_forecaster import DEFAULT_QUANTILES, Array, SeriesForecaster
from statewise.rows.schema import ForecastSchema

NAMES = ("AutoETS", "AutoTheta", "MSTL")


@dataclass(frozen=True)
class Classical:
    """Settings of one statsforecast model in a backtest.

    `refit` False: fitted once at the first origin, then its parameters are applied to the growing history
    (what statsforecast calls forward; MSTL decomposes anew each time all the same). True: fitted at every
    origin. `season_lengths` () means those of the frequency; AutoETS and AutoTheta take the first of them.
    """

    name: str
    refit: bool = False
    season_lengths: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Fitted:
    name: str
    refit: bool
    seasons: tuple[int, ...]

    def __call__(
        self, values: Array, positions: Sequence[int], horizon: int, levels: Sequence[float]
    ) -> Iterator[tuple[Array, Array]]:
        shares = sorted({round(abs(200 * level - 100), 6) for level in levels if level != 0.5})
        model: Any = None
        for position in positions:
            past = interpolated(values[: position + 1])
            if not len(past):
                yield np.full(horizon, np.nan), np.full((horizon, len(levels)), np.nan)
                continue
            if model is None or self.refit:
                model = _model(self.name, self.seasons)
                model.fit(past)
                answer = model.predict(horizon, level=shares)
            else:
                answer = model.forward(past, horizon, level=shares)
            point = np.asarray(answer["mean"], dtype=np.float64)
            yield point, np.stack([_quantile(answer, point, level) for level in levels], axis=-1)


def classical(
    settings: Classical | str,
    schema: ForecastSchema,
    horizon: int,
    seasons: Sequence[int],
    quantiles: tuple[float, ...] = DEFAULT_QUANTILES,
) -> SeriesForecaster:
    """A statsforecast model as a forecaster; `seasons` are used where the settings name none.

    These models refuse missing values, so they are filled by linear interpolation between values before the
    cutoff.
    Raises ConfigError for an unknown name, MissingExtraError without statsforecast.
    """
    settings = Classical(settings) if isinstance(settings, str) else settings
    if settings.name not in NAMES:
        raise ConfigError(f"compare: no such model '{settings.name}'.{suggestion(settings.name, NAMES)}")
    lengths = settings.season_lengths or tuple(seasons) or (1,)
    _model(settings.name, lengths)
    method = _Fitted(settings.name, settings.refit, lengths)
    return SeriesForecaster(settings.name, method, schema, horizon, quantiles)


def interpolated(values: Array) -> Array:
    """`values` from the first known one on, NaN on the line between neighbours (at the end: the last)."""
    known = np.flatnonzero(~np.isnan(values))
    if not len(known):
        return values[:0]
    places = np.arange(known[0], len(values))
    return np.interp(places, known, values[known])


def _model(name: str, seasons: tuple[int, ...]) -> Any:
    try:
        from statsforecast import models
    except ImportError:
        raise MissingExtraError(f"compare '{name}'", "statsforecast", "compare") from None
    if name == "MSTL":
        # A season of one step is none: MSTL then is its trend model.
        return models.MSTL(list(seasons)) if seasons != (1,) else models.AutoETS(model="ZZN")
    return {"AutoETS": models.AutoETS, "AutoTheta": models.AutoTheta}[name](season_length=seasons[0])


def _quantile(answer: Any, point: Array, level: float) -> Array:
    if level == 0.5:
        return point
    share = round(abs(200 * level - 100), 6)
    key = f"{'lo' if level < 0.5 else 'hi'}-{share:g}"
    found = answer.get(key, answer.get(f"{key}.0"))
    return np.asarray(found, dtype=np.float64)
