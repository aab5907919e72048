"""Intervals that stay honest: each horizon's quantiles are widened or narrowed as outcomes come in.

Online conformal prediction (Gibbs and Candès 2021; quantile tracking as in Angelopoulos, Candès and
Tibshirani 2023), one multiplicative factor per target, horizon and quantile, part of the state:
  q'_τ = m + c_τ (q_τ - m),   log c_τ ← log c_τ + rate · (miss_τ - (expected share of misses)).
A miss of an upper (lower) quantile is an outcome above (below) it. The median and mean stay as they are.
Within 2.5 % of the quantile's distance a miss counts in part: with a hard edge, rounding in the last bit
would decide a miss now and then, and two runs of one model would give intervals 3 % apart.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from statewise.core.errors import ConfigError
from statewise.recurrence import Recurrence, real_steps, zero_padding

MAX_NODES = 48  # horizons that have factors of their own; the others take the nearest one's
_LIMIT = 3.0  # of |log c|
_EDGE = 0.05  # width in log c over which an outcome turns from none to a whole miss


class CalibrationState(NamedTuple):
    """Factors, and the forecasts whose time has not come yet (`pending[:, j]` was made j + 1 steps ago)."""

    log_factor: Tensor  # [B, D, K, Q]
    pending: Tensor  # [B, H, D, K, Q]
    count: Tensor  # type: ignore[assignment]  # [B, 1] forecasts made so far, at most H


def nodes(horizon: int) -> list[int]:
    """Horizon steps (from 0) with factors of their own."""
    if horizon <= MAX_NODES:
        return list(range(horizon))
    return sorted({round(i * (horizon - 1) / (MAX_NODES - 1)) for i in range(MAX_NODES)})


class Calibrator(Recurrence):
    """x = (outcome [B, T, D], NaN where missing, forecasts [B, T, D, H, 1 + Q]) to calibrated forecasts."""

    places: Tensor
    nearest: Tensor
    share: Tensor
    side: Tensor
    anchor: Tensor

    def __init__(self, targets: int, horizon: int, levels: tuple[float, ...], rate: float = 0.03) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ConfigError(f"calibration: got {rate}, want a rate from 0 (off) to below 1.")
        self.targets, self.horizon, self.rate = targets, horizon, rate
        self.edge = max(_EDGE, rate)  # a narrower one would let small differences grow
        self.middle = levels.index(0.5)
        self.quantiles = len(levels)
        places = torch.tensor(nodes(horizon))
        share = torch.tensor([min(level, 1 - level) for level in levels], dtype=torch.float64)
        upper = torch.tensor([float(level > 0.5) - float(level < 0.5) for level in levels])
        nearest = (torch.arange(horizon).unsqueeze(1) - places).abs().argmin(dim=1)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("nearest", nearest, persistent=False)
        self.register_buffer("share", share.float(), persistent=False)  # expected misses
        self.register_buffer("side", upper, persistent=False)  # +1 upper, -1 lower, 0 median
        self.register_buffer("anchor", torch.zeros(()), persistent=False)  # carries device and dtype

    def initial_state(self, batch: int) -> CalibrationState:
        count = len(self.places)
        shape = (batch, self.targets, count, self.quantiles)
        pending = self.anchor.new_zeros(batch, self.horizon, *shape[1:])
        return CalibrationState(self.anchor.new_zeros(shape), pending, self.anchor.new_zeros(batch, 1))

    def step(self, x: tuple[Tensor, Tensor], state: CalibrationState) -> tuple[Tensor, CalibrationState]:
        """Outcome [B, D] and the new forecasts [B, D, H, 1 + Q] to the calibrated ones."""
        outcome, forecast = x
        node = torch.arange(len(self.places), device=outcome.device)
        due = state.pending[:, self.places, :, node].permute(1, 2, 0, 3)  # [B, D, K, Q]
        ripe = state.count > self.places  # [B, K]
        log_factor = self._moved(state.log_factor, *self._moves(outcome, due, ripe))
        latest = forecast[..., 1:].index_select(2, self.places).unsqueeze(1)
        pending = torch.cat((latest, state.pending[:, :-1]), dim=1)
        count = (state.count + 1).clamp(max=self.horizon)
        return self._calibrated(forecast, log_factor), CalibrationState(log_factor, pending, count)

    def forward(
        self, x: tuple[Tensor, Tensor], state: CalibrationState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, CalibrationState]:
        """Outcomes [B, T, D] and forecasts [B, T, D, H, 1 + Q]; a short loop for the factors."""
        outcome, forecast = zero_padding(x, lengths)
        batch, time = outcome.shape[:2]
        state = self.initial_state(batch) if state is None else state
        if time == 0:
            return forecast, state
        made = forecast[..., 1:].index_select(3, self.places)
        line = torch.cat((state.pending.flip(1), made), dim=1)  # [B, H + T, D, K, Q] by time made
        moment = torch.arange(time, device=outcome.device).unsqueeze(1)
        node = torch.arange(len(self.places), device=outcome.device)
        due = line[:, self.horizon - 1 + moment - self.places, :, node].permute(2, 0, 3, 1, 4)
        ripe = state.count.unsqueeze(1) + moment > self.places  # [B, T, K]
        if lengths is not None:
            ripe = ripe & real_steps(lengths, time).unsqueeze(-1)
        log_factor, factors = state.log_factor, []
        for move in zip(*(part.unbind(1) for part in self._moves(outcome, due, ripe)), strict=True):
            log_factor = self._moved(log_factor, *move)
            factors.append(log_factor)
        calibrated = zero_padding(self._calibrated(forecast, torch.stack(factors, dim=1)), lengths)
        return calibrated, self._after(line, log_factor, state, lengths)

    def _after(
        self, line: Tensor, log_factor: Tensor, state: CalibrationState, lengths: Tensor | None
    ) -> CalibrationState:
        batch, time = line.shape[0], line.shape[1] - self.horizon
        steps = line.new_full((batch,), time, dtype=torch.long) if lengths is None else lengths.long()
        newest_first = steps.unsqueeze(1) + torch.arange(self.horizon - 1, -1, -1, device=line.device)
        index = newest_first.view(batch, self.horizon, 1, 1, 1).expand(-1, -1, *line.shape[2:])
        count = (state.count + steps.unsqueeze(1)).clamp(max=self.horizon)
        return CalibrationState(log_factor, line.gather(1, index), count)

    def _moves(self, outcome: Tensor, due: Tensor, ripe: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How far beyond each due quantile the outcome lies, in edges; the move without a miss, and by one.

        outcome [..., D], due [..., D, K, Q], ripe [..., K]; a missing outcome moves nothing.
        """
        median = due[..., self.middle : self.middle + 1]
        there = torch.nan_to_num(outcome)[..., None, None]
        tiny = torch.finfo(due.dtype).tiny
        beyond = ((there - median) * self.side).clamp(min=tiny).log()
        width = ((due - median) * self.side).clamp(min=tiny).log()
        counts = ripe.unsqueeze(-2).unsqueeze(-1) & ~outcome.isnan()[..., None, None]
        gain = counts.to(due.dtype) * (self.rate * self.side.abs())
        return (beyond - width) / self.edge + 0.5, -gain * self.share, gain

    def _moved(self, log_factor: Tensor, excess: Tensor, rest: Tensor, gain: Tensor) -> Tensor:
        miss = torch.sub(excess, log_factor, alpha=1 / self.edge).clamp(0, 1)
        return torch.addcmul(log_factor + rest, gain, miss).clamp(-_LIMIT, _LIMIT)

    def _calibrated(self, forecast: Tensor, log_factor: Tensor) -> Tensor:
        """The forecasts with their quantiles scaled; an outer quantile never passes an inner one."""
        mean, quantiles = torch.split(forecast, [1, self.quantiles], dim=-1)
        median = quantiles[..., self.middle : self.middle + 1]
        factor = log_factor.index_select(-2, self.nearest).exp()
        parts = list((median + factor * (quantiles - median)).unbind(-1))
        for i in range(self.middle + 1, self.quantiles):
            parts[i] = torch.maximum(parts[i], parts[i - 1])
        for i in range(self.middle - 1, -1, -1):
            parts[i] = torch.minimum(parts[i], parts[i + 1])
        return torch.cat((mean, torch.stack(parts, dim=-1)), dim=-1)
