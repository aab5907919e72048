"""The classical baselines as forecasters: the least a model has to beat."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from statewise.core.errors import ConfigError, suggestion
from statewise.evaluation import simple_rules
from statewise.evaluation.series_forecaster import DEFAULT_QUANTILES, SeriesForecaster
from statewise.evaluation.simple_rules import Array, Rule
from statewise.rows.schema import ForecastSchema

# Enough residuals for a steady 10 % quantile, few enough that a horizon of 720 over years stays cheap.
RESIDUALS = 2000
_SEASONAL = re.compile(r"seasonal_naive_(\d+)")


@dataclass(frozen=True)
class _Residual:
    """A rule with intervals from its newest in-sample residuals; no position sees a later value."""

    rule: Rule

    def __call__(
        self, values: Array, positions: Sequence[int], horizon: int, levels: Sequence[float]
    ) -> Iterator[tuple[Array, Array]]:
        for position in positions:
            past = values[: position + 1]
            yield simple_rules.with_intervals(self.rule, past, position, horizon, levels, RESIDUALS)


def naive(
    schema: ForecastSchema, horizon: int, quantiles: tuple[float, ...] = DEFAULT_QUANTILES
) -> SeriesForecaster:
    """The last value seen, for every step: the random walk."""
    return SeriesForecaster("naive", _Residual(simple_rules.naive), schema, horizon, quantiles)


def seasonal_naive(
    schema: ForecastSchema, horizon: int, season_length: int, quantiles: tuple[float, ...] = DEFAULT_QUANTILES
) -> SeriesForecaster:
    """The last season repeated; it fails `check_recency` by nature: a step repeats one value only."""
    if season_length < 1:
        raise ConfigError(f"season_length: got {season_length}, want at least 1.")
    rule = simple_rules.seasonal_naive(season_length)
    return SeriesForecaster(f"seasonal_naive_{season_length}", _Residual(rule), schema, horizon, quantiles)


def drift(
    schema: ForecastSchema, horizon: int, quantiles: tuple[float, ...] = DEFAULT_QUANTILES
) -> SeriesForecaster:
    """The line through the first and the last value seen, continued."""
    return SeriesForecaster("drift", _Residual(simple_rules.drift), schema, horizon, quantiles)


def named_baselines(
    names: Sequence[str], schema: ForecastSchema, horizon: int, seasons: Sequence[int]
) -> dict[str, SeriesForecaster]:
    """Baselines by name.

    "seasonal_naive" brings one per season length: the first under that name, the others with their length
    ("seasonal_naive_168"), which may also be asked for by itself.

    Raises ConfigError: "baseline: no such baseline 'naiv'. Did you mean 'naive'?".
    """
    found: dict[str, SeriesForecaster] = {}
    for name in names:
        if name == "naive":
            found[name] = naive(schema, horizon)
        elif name == "drift":
            found[name] = drift(schema, horizon)
        elif name == "seasonal_naive":
            for number, length in enumerate(seasons):
                label = name if number == 0 else f"{name}_{length}"
                found[label] = seasonal_naive(schema, horizon, length)
        elif match := _SEASONAL.fullmatch(name):
            found[name] = seasonal_naive(schema, horizon, int(match[1]))
        else:
            known = ("naive", "seasonal_naive", "drift")
            raise ConfigError(f"baseline: no such baseline '{name}'.{suggestion(name, known)}")
    return found


def fitting_seasons(season_lengths: Sequence[int], rows: int) -> tuple[int, ...]:
    """The season lengths that at least two whole seasons of the first history hold."""
    return tuple(length for length in season_lengths if 2 * length <= rows)
