"""One recurrence over the whole series that forecasts all horizons at every position.

In units of the running spread S around an anchor a (the newest value, by default):
  forecast_k = a + S · (linear readout of the raw lags + bilinear(context, known future) + head(context)).
The linear readout is solved in closed form (`linear_start`); the recurrent context learns what the lags
leave over. Every horizon reads the newest observation. All statistics are causal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.core.errors import ConfigError
from statewise.nn import running
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.quantiles import make_head
from statewise.nn.running import Lags, Running, Seen
from statewise.recurrence import Recurrence, last_real, zero_padding
from statewise.rows.layout import Layout
from statewise.state import State

Input = tuple[Tensor, Tensor]  # now [B, (T,) F] and future [B, (T,) H, G], as ForecastCodec encodes them
_RANK = 8  # of the bilinear term
_SINCE_SCALE = math.log1p(running.SINCE_CAP)


@dataclass(frozen=True)
class Memory:
    """Raw lags kept, season lengths among them, the anchor of differences, half-life of the level (steps)."""

    lags: int
    seasons: tuple[int, ...]
    difference: int
    halflife: float

    def __post_init__(self) -> None:
        if not all(1 <= m <= self.lags for m in (*self.seasons, max(self.difference, 1))):
            raise ConfigError(
                f"lags: got {self.lags}, want at least the seasons {self.seasons} and difference "
                f"{self.difference}."
            )


class ForecastState(NamedTuple):
    """What a forecaster remembers of a series."""

    seen: Seen
    running: Running
    lags: Lags
    backbone: State


class Signals(NamedTuple):
    """What the network reads at a position, [..., ·] each."""

    features: Tensor  # inputs of the recurrence
    lags: Tensor  # [..., D, L] older values, as differences from the newest, in spreads
    extras: Tensor  # other inputs of the linear readout
    anchor: Tensor  # [..., D, H]
    spread: Tensor  # [..., D]


class Raw(NamedTuple):
    """Before the head: raw numbers [..., D, H, size], locations [..., D, H] in `spread` around `anchor`."""

    numbers: Tensor
    location: Tensor
    anchor: Tensor  # [..., D, H]
    spread: Tensor  # [..., D, H]


class ForecastNetwork(Recurrence):
    """x = (now [B, T, F], future [B, T, H, G]) to standardised forecasts [B, T, D, H, 1 + Q]."""

    def __init__(
        self,
        layout: Layout,
        horizon: int,
        memory: Memory,
        levels: tuple[float, ...],
        backbone: BackboneConfig,
        *,
        head: str = "quantile",
        bins: int = 8,
    ) -> None:
        super().__init__()
        self.layout, self.horizon, self.memory = layout, horizon, memory
        self.targets, self.quantiles = layout.target, len(levels)
        self.values = layout.target + layout.observed + layout.known  # channels that may be missing
        self.numbers = layout.target + layout.observed  # channels with a running level
        self.decay = 0.5 ** (1 / memory.halflife)
        rest = layout.calendar + layout.static
        binned = self.values - self.targets
        self.edges: Tensor | None
        self.register_buffer("edges", torch.linspace(-2, 2, bins + 1).repeat(binned, 1) if bins else None)
        inputs = 2 * self.numbers + self.targets * (1 + len(memory.seasons)) + 3 * self.values
        inputs += 2 * binned * bins + rest
        hidden = backbone.hidden_size
        self.embed = nn.Linear(inputs, hidden)
        self.dropout = nn.Dropout(backbone.dropout)
        if backbone.num_layers == 1:  # nothing to drop between, nothing to skip: `embed` says what x could
            backbone = replace(backbone, dropout=0.0, residual=False)
        self.backbone = Backbone(hidden, backbone)
        self.norm = nn.LayerNorm(hidden)
        self.head = make_head(head, levels)
        self.readout = nn.Linear(hidden, self.targets * horizon * self.head.size)
        self.ahead: nn.Module | None = None
        self.ahead_weight: nn.Linear | None = None
        if layout.future_size:  # else nothing is known ahead, not even the calendar
            width = layout.future_size + layout.known
            self.ahead = nn.Sequential(nn.Linear(width, 2 * _RANK), nn.ReLU(), nn.Linear(2 * _RANK, _RANK))
            self.ahead_weight = nn.Linear(hidden, self.targets * _RANK)
        extras = self.targets + binned + rest + 1
        # Solved in closed form (`linear_start`), then left alone: by gradient, so many weights gather noise.
        self.linear: Tensor
        self.register_buffer("linear", torch.zeros(self.targets, memory.lags + extras, horizon))
        self.left_over: Tensor  # σ [D, H]
        self.register_buffer("left_over", torch.ones(self.targets, horizon))
        for layer in filter(None, (self.readout, self.ahead_weight)):  # start from the linear readout alone
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def initial_state(self, batch: int) -> ForecastState:
        like = self.linear
        return ForecastState(
            running.seen_start(batch, self.values, like),
            running.running_start(batch, self.numbers, like),
            running.lags_start(batch, self.targets, self.memory.lags + 1, like),
            self.backbone.initial_state(batch),
        )

    def step(self, x: Input, state: ForecastState) -> tuple[Tensor, ForecastState]:
        """now [B, F] and future [B, H, G] to forecasts [B, D, H, 1 + Q]."""
        now, future = x
        values = now[:, : self.values]
        seen = running.seen_step(values, state.seen)
        sums = running.running_step(values[:, : self.numbers], state.running, self.decay)
        newest = seen.value[:, : self.targets]
        lags = running.lags_step(values[:, : self.targets], newest, state.lags, self.memory.seasons[0])
        signals = self._signals(now, seen, state.seen.value, sums, lags.values, lags.count)
        context, backbone = self.backbone.step(self._embedded(signals), state.backbone)
        forecasts = self._forecasts(self._raw(signals, context, future))
        return forecasts, ForecastState(seen, sums, lags, backbone)

    def forward(
        self, x: Input, state: ForecastState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, ForecastState]:
        """now [B, T, F] and future [B, T, H, G] to forecasts [B, T, D, H, 1 + Q]."""
        if x[0].shape[1] == 0:
            return self._nothing(x[0]), self._started(x[0], state)
        raw, after = self.raw(x, state, lengths)
        return zero_padding(self._forecasts(raw), lengths), after

    def raw(
        self, x: Input, state: ForecastState | None = None, lengths: Tensor | None = None
    ) -> tuple[Raw, ForecastState]:
        """What `forward` gives, before the head: the loss of a distribution needs it."""
        now, future = x
        state = self._started(now, state)
        signals, memory = self.signals(now, state, lengths)
        context, backbone = self.backbone(self._embedded(signals), state.backbone, lengths)
        return self._raw(signals, context, future), memory._replace(backbone=backbone)

    def signals(
        self, now: Tensor, state: ForecastState, lengths: Tensor | None = None
    ) -> tuple[Signals, ForecastState]:
        """Everything before the first learned weight, of a sequence [B, T, F]; keeps the backbone's state."""
        values = now[..., : self.values]
        seen = running.seen_forward(values, state.seen)
        sums = running.running_forward(values[..., : self.numbers], state.running, self.decay)
        newest = seen.value[..., : self.targets]
        rings, count = running.lags_forward(
            values[..., : self.targets], newest, state.lags, self.memory.seasons[0]
        )
        after = ForecastState(
            Seen(*(last_real(a, b, lengths) for a, b in zip(seen, state.seen, strict=True))),
            Running(*(last_real(a, b, lengths) for a, b in zip(sums, state.running, strict=True))),
            Lags(
                last_real(rings, state.lags.values, lengths),
                last_real(count, state.lags.count, lengths),
            ),
            state.backbone,
        )
        before = torch.cat((state.seen.value.unsqueeze(1), seen.value[:, :-1]), dim=1)
        return self._signals(now, seen, before, sums, rings, count), after

    def _signals(
        self, now: Tensor, seen: Seen, before: Tensor, sums: Running, ring: Tensor, count: Tensor
    ) -> Signals:
        """All signals from what is remembered after a step; `before` [..., V]: last seen a step earlier."""
        targets, memory = self.targets, self.memory
        mean, spread = running.level_and_spread(sums)
        missing = now[..., : self.values].isnan().to(now.dtype)
        rest = now[..., self.values :].nan_to_num()
        newest = ring[..., -1]
        age = torch.arange(memory.lags, -1, -1, device=now.device)
        past = torch.where(age < count.unsqueeze(-1), ring, mean[..., :targets].unsqueeze(-1))
        lags = (past[..., :-1] - newest.unsqueeze(-1)) / spread[..., :targets].unsqueeze(-1)
        local = (seen.value[..., : self.numbers] - mean) / spread
        parts = [
            local,
            spread.log(),
            *(lags[..., memory.lags - m] for m in (1, *memory.seasons)),
            seen.value,
            missing,
            seen.since.log1p() / _SINCE_SCALE,
            rest,
        ]
        covariates = seen.value[..., targets:]
        if self.edges is not None and covariates.shape[-1]:
            # A threshold is crossed where this step and the one before lie on its two sides.
            parts += [self._binned(covariates), self._binned(before[..., targets:])]
        extras = torch.cat((local[..., :targets], covariates, rest, torch.ones_like(mean[..., :1])), dim=-1)
        anchor = self._anchor(past, mean[..., :targets])
        return Signals(torch.cat(parts, dim=-1), lags, extras, anchor, spread[..., :targets])

    def _binned(self, values: Tensor) -> Tensor:
        """Piecewise-linear encoding of absolute levels (Gorishniy et al. 2022, eq. 1), for thresholds."""
        assert self.edges is not None
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        return ((values.unsqueeze(-1) - low) / (high - low)).clamp(0, 1).flatten(-2)

    def _anchor(self, past: Tensor, mean: Tensor) -> Tensor:
        """The value each horizon's forecast is a change from, [..., D, H]."""
        m = self.memory.difference
        if m == 0:
            return mean.unsqueeze(-1).expand(*mean.shape, self.horizon)
        place = [self.memory.lags - (m - 1 - k % m) for k in range(self.horizon)]
        if m == 1:
            return past[..., -1:].expand(*mean.shape, self.horizon)
        return past.index_select(-1, torch.tensor(place, device=past.device))

    def _embedded(self, signals: Signals) -> Tensor:
        return functional.gelu(self.embed(signals.features))

    def linear_location(self, signals: Signals) -> Tensor:
        """The linear readout, [..., D, H] in spreads around the anchor."""
        lags = self.memory.lags
        by_lags = torch.einsum("...dl,dlh->...dh", signals.lags, self.linear[:, :lags])
        return by_lags + torch.einsum("...e,deh->...dh", signals.extras, self.linear[:, lags:])

    def _raw(self, signals: Signals, context: Tensor, future: Tensor) -> Raw:
        context = self.dropout(self.norm(context))
        shape = context.shape[:-1]
        location = self.linear_location(signals) / self.left_over
        if self.ahead is not None and self.ahead_weight is not None:
            known = future[..., : self.layout.known]
            ahead = self.ahead(torch.cat((future.nan_to_num(), known.isnan().to(future.dtype)), dim=-1))
            weight = self.ahead_weight(context).view(*shape, self.targets, _RANK)
            location = location + torch.matmul(weight, ahead.transpose(-1, -2))
        numbers = self.readout(context).view(*shape, self.targets, self.horizon, self.head.size)
        return Raw(numbers, location, signals.anchor, signals.spread.unsqueeze(-1) * self.left_over)

    def _forecasts(self, raw: Raw) -> Tensor:
        standard: Tensor = self.head(raw.numbers, raw.location)
        return standard * raw.spread.unsqueeze(-1) + raw.anchor.unsqueeze(-1)

    def losses(self, x: Input, target: Tensor, state: ForecastState) -> tuple[Tensor, Tensor, ForecastState]:
        """Loss of each forecast [B, T, D, H] in units of what the lags leave over, and where it counts.

        Where `target` is missing it counts nothing and is 0.
        """
        raw, after = self.raw(x, state)
        scaled = (target.nan_to_num() - raw.anchor) / raw.spread
        loss = self.head.loss(raw.numbers, raw.location, scaled)
        there = ~target.isnan()
        return torch.where(there, loss, 0.0), there, after

    def _started(self, now: Tensor, state: ForecastState | None) -> ForecastState:
        return self.initial_state(now.shape[0]) if state is None else state

    def _nothing(self, now: Tensor) -> Tensor:
        return now.new_zeros(now.shape[0], 0, self.targets, self.horizon, 1 + self.quantiles)
