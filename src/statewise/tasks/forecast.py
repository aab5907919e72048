"""The forecasting task: rows of one or many series to the next `horizon` values of each target."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from torch import Tensor

from statewise.core.errors import ConfigError, lookup
from statewise.nn.backbone import BackboneConfig
from statewise.nn.quantiles import HEADS, check_levels
from statewise.rows.forecast import ForecastCodec
from statewise.rows.layout import ForecastArrays
from statewise.rows.panel import Panel, Series
from statewise.rows.schema import ForecastSchema
from statewise.tasks.forecast_network import ForecastNetwork, Memory
from statewise.tasks.linear_start import fit_bins, solve_linear
from statewise.tasks.segment_network import SegmentNetwork, Segments
from statewise.tasks.task import Meanings, Same

DEFAULT_QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_TEXT_ROLES = ("target", "observed", "known", "static")
_MAX_LAGS = 1024


@dataclass(frozen=True)
class Forecast:
    """What to forecast from which columns, and how the model remembers.

    `observed` columns are known up to now, `known` ones for the next `horizon` steps too (planned, or
    themselves forecast), `static` ones are constant per series ("unique_id" may be one). `lags` are the raw
    past values that the linear readout sees (default: the longest season of the grid that fits twice into
    the training rows). `difference=m` forecasts changes from the value m steps before (1: the newest one, a
    season length: the same phase of the last season, 0: the running mean). `halflife` of the running level,
    in steps (default: `lags`). `head`: "quantile", or the distribution "normal", "laplace" or "logistic".
    `penalty` is that of the ridge regression behind the linear readout, per standardised feature.
    `calibration` is the rate at which intervals follow their misses (0: off). With `lookback` the model
    reads only that many newest values, in segments of `segment_length`. Raises ConfigError.
    """

    kind: ClassVar[str] = "forecast"

    horizon: int
    target: str | Sequence[str] = "y"
    time: str = "ds"
    id: str | None = "unique_id"
    observed: Sequence[str] = ()
    known: Sequence[str] = ()
    static: Sequence[str] = ()
    frequency: str | None = None
    timezone: str | None = None
    quantiles: Sequence[float] = DEFAULT_QUANTILES
    head: str = "quantile"
    lags: int | None = None
    difference: int = 1
    halflife: float | None = None
    bins: int = 8
    calibration: float = 0.03
    penalty: float = 300.0
    lookback: int | None = None
    segment_length: int = 24

    def __post_init__(self) -> None:
        for role in _TEXT_ROLES:
            value = getattr(self, role)
            object.__setattr__(self, role, (value,) if isinstance(value, str) else tuple(value))
        object.__setattr__(self, "quantiles", tuple(float(level) for level in self.quantiles))
        check_levels(self.levels)
        lookup(dict.fromkeys(HEADS), self.head, "head")
        for name, low in (("horizon", 1), ("difference", 0), ("bins", 0), ("segment_length", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"{name}: got {getattr(self, name)}, want {low} or more.")
        self._check_lookback()
        if self.penalty <= 0:
            raise ConfigError(f"penalty: got {self.penalty}, want a number above 0.")
        for name in ("lags", "lookback", "halflife"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}: got {value}, want 1 or more.")
        _ = self.schema

    def _check_lookback(self) -> None:
        """A window of segments has no use for some settings: to ignore them would mislead."""
        if self.lookback is None:
            return
        for name, default in (("head", "quantile"), ("lags", None), ("difference", 1), ("halflife", None)):
            if getattr(self, name) != default:
                raise ConfigError(
                    f"{name}: got {getattr(self, name)!r}, which a model with `lookback` does not use."
                )

    @cached_property
    def schema(self) -> ForecastSchema:
        """The roles of the columns."""
        roles = {role: tuple(getattr(self, role)) for role in _TEXT_ROLES}
        return ForecastSchema(
            time=self.time, id=self.id, frequency=self.frequency, timezone=self.timezone, **roles
        )

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantile levels as a tuple."""
        return tuple(self.quantiles)

    def codec(self, panel: Panel) -> ForecastCodec:
        """The torch-free half, fitted on training rows."""
        return ForecastCodec.fit(panel, self.horizon)

    def memory(self, codec: ForecastCodec, longest: int) -> Memory:
        """The lags and seasons to remember, for training series of at most `longest` steps."""
        if self.lookback is not None:
            return Memory(self.lookback, (1,), 1, float(self.lookback))
        usable = [m for m in codec.season_lengths if 2 * m <= longest and m <= _MAX_LAGS]
        lags = self.lags or max([*usable, 2 * self.difference, min(24, max(1, longest // 4))])
        seasons = tuple(m for m in usable if m <= lags) or (1,)
        return Memory(lags, seasons, self.difference, self.halflife or float(max(lags, 24)))

    def network(
        self, codec: ForecastCodec, memory: Memory, backbone: BackboneConfig
    ) -> ForecastNetwork | SegmentNetwork:
        """The untrained network."""
        if self.lookback is not None:
            segments = Segments(self.lookback, self.segment_length)
            return SegmentNetwork(codec.layout, self.horizon, segments, self.levels, backbone)
        return ForecastNetwork(
            codec.layout, self.horizon, memory, self.levels, backbone, head=self.head, bins=self.bins
        )

    def arrays(self, codec: ForecastCodec, series: Series) -> ForecastArrays:
        """What the network trains on: a window of segments does not read what is known ahead."""
        arrays = codec.encode(series)
        return arrays if self.lookback is None else arrays._replace(future=arrays.future[:, :0])

    def meanings(self, codec: ForecastCodec) -> Meanings:
        """Which weights mean nothing where channels, or targets and horizon, are others."""
        channels = ("embed.weight", "embed.bias", "edges", "linear", "left_over", "ahead.0.weight")
        answers = ("readout.weight", "readout.bias", "ahead_weight.weight", "ahead_weight.bias", "channel")
        targets = (*codec.schema.target, codec.horizon)
        return {
            **dict.fromkeys(channels, Same((codec.channels, targets))),
            **dict.fromkeys(answers, Same(targets)),
        }

    def start(
        self, network: ForecastNetwork | SegmentNetwork, batches: Iterable[tuple[Tensor, Tensor, Tensor]]
    ) -> None:
        """What is set from training rows (now, target, weight) in closed form before training begins."""
        if isinstance(network, ForecastNetwork):
            rows = list(batches)
            fit_bins(network, rows)
            solve_linear(network, rows, self.penalty)
