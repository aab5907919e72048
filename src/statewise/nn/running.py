"""What a causal model may know of a series: its level and spread so far, what was last seen, its lags.

Each is a recurrence without weights: constant memory, one observation at a time or a whole sequence at once.
Missing values are NaN and change nothing but the time since last seen.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from statewise.ops.linear_scan import linear_scan

SINCE_CAP = 8760.0  # steps; "never seen" is as long ago as this
PRIOR_WEIGHT = 24.0  # observations that the prior (mean 0, spread 1, in standardised units) counts for
MIN_SPREAD = 1e-3  # of the standardised unit


class Seen(NamedTuple):
    """Last observed value and steps since, per channel; since = SINCE_CAP before the first."""

    value: Tensor  # [B, V]
    since: Tensor  # [B, V]


def seen_start(batch: int, channels: int, like: Tensor) -> Seen:
    """Nothing seen yet: the level is taken as 0, the training mean."""
    return Seen(like.new_zeros(batch, channels), like.new_full((batch, channels), SINCE_CAP))


def seen_step(x: Tensor, state: Seen) -> Seen:
    """`x` [B, V] with NaN where missing, to what is last seen now."""
    missing = x.isnan()
    return Seen(
        torch.where(missing, state.value, x),
        torch.where(missing, (state.since + 1).clamp(max=SINCE_CAP), torch.zeros_like(x)),
    )


def seen_forward(x: Tensor, state: Seen) -> Seen:
    """`x` [B, T, V] to what is last seen at every step, [B, T, V] each."""
    time = x.shape[1]
    clock = torch.arange(1, time + 1, device=x.device).view(1, time, 1)
    latest = torch.where(x.isnan(), torch.zeros_like(clock), clock).cummax(dim=1).values
    values = torch.cat((state.value.unsqueeze(1), x), dim=1).gather(1, latest)
    since = (clock - latest).to(x.dtype) + torch.where(latest > 0, 0.0, state.since.unsqueeze(1))
    return Seen(values, since.clamp(max=SINCE_CAP))


class Running(NamedTuple):
    """Exponentially weighted sums of the observations so far.

    Squares are summed around the running mean (Welford 1962): the difference of two large sums would leave
    nothing but rounding of a quiet series at a high level.
    """

    weight: Tensor  # [B, V]
    total: Tensor  # [B, V]
    deviation: Tensor  # [B, V]


def running_start(batch: int, channels: int, like: Tensor) -> Running:
    """The prior alone."""
    weight = like.new_full((batch, channels), PRIOR_WEIGHT)
    return Running(weight, torch.zeros_like(weight), weight.clone())


def running_step(x: Tensor, state: Running, decay: float) -> Running:
    """One observation [B, V]; a missing one leaves the sums as they are."""
    there, value, keep = _parts(x, decay)
    weight, total = keep * state.weight + there, keep * state.total + value
    added = there * (value - state.total / state.weight) * (value - total / weight)
    return Running(weight, total, keep * state.deviation + added)


def running_forward(x: Tensor, state: Running, decay: float) -> Running:
    """The sums after every step of `x` [B, T, V], in about log2(T) passes."""
    there, value, keep = _parts(x, decay)
    added, initial = torch.cat((there, value), dim=-1), torch.cat((state.weight, state.total), dim=-1)
    weight, total = linear_scan(keep.repeat(1, 1, 2), added, initial).chunk(2, dim=-1)
    mean = total / weight
    before = torch.cat(((state.total / state.weight).unsqueeze(1), mean[:, :-1]), dim=1)
    added = there * (value - before) * (value - mean)
    return Running(weight, total, linear_scan(keep, added, state.deviation))


def _parts(x: Tensor, decay: float) -> tuple[Tensor, Tensor, Tensor]:
    """1 where a value is there, else 0; the value, else 0; what the sums are multiplied by."""
    missing = x.isnan()
    value = torch.where(missing, torch.zeros_like(x), x)
    keep = torch.where(missing, torch.ones_like(x), torch.full_like(x, decay))
    return (~missing).to(x.dtype), value, keep


def level_and_spread(state: Running) -> tuple[Tensor, Tensor]:
    """Running mean and standard deviation; the latter never under MIN_SPREAD."""
    variance = state.deviation / state.weight
    return state.total / state.weight, variance.clamp(min=MIN_SPREAD**2).sqrt()


class Lags(NamedTuple):
    """The last L values of each target, oldest first, and how many steps there were (at most L)."""

    values: Tensor  # [B, D, L]
    count: Tensor  # type: ignore[assignment]  # [B, 1]; no one counts values in a state


def lags_start(batch: int, channels: int, length: int, like: Tensor) -> Lags:
    """An empty ring."""
    return Lags(like.new_zeros(batch, channels, length), like.new_zeros(batch, 1))


def lags_step(x: Tensor, last: Tensor, state: Lags, season: int) -> Lags:
    """`x` [B, D] joins the ring; a missing value is taken from one season ago, or is `last` [B, D]."""
    length = state.values.shape[-1]
    fallback = torch.where(state.count >= season, state.values[..., length - season], last)
    filled = torch.where(x.isnan(), fallback, x)
    values = torch.cat((state.values[..., 1:], filled.unsqueeze(-1)), dim=-1)
    return Lags(values, (state.count + 1).clamp(max=length))


def lags_forward(x: Tensor, last: Tensor, state: Lags, season: int) -> tuple[Tensor, Tensor]:
    """Rings and counts after every step: views [B, T, D, L] of one line, and [B, T, 1]."""
    length = state.values.shape[-1]
    clock = torch.arange(1, x.shape[1] + 1, device=x.device, dtype=x.dtype)
    count = state.count.unsqueeze(1) + clock.view(1, -1, 1)
    filled = torch.where(x.isnan(), last, x).transpose(1, 2)
    line = torch.cat((state.values, filled), dim=-1)
    valid = torch.cat(
        (torch.ones_like(state.values, dtype=torch.bool), (~x.isnan() | (count <= season)).transpose(1, 2)),
        dim=-1,
    )
    line = _filled_by_season(line, valid, season)
    rings = line.unfold(-1, length, 1)[:, :, 1:].transpose(1, 2)
    return rings, count.clamp(max=length)


def _filled_by_season(line: Tensor, valid: Tensor, season: int) -> Tensor:
    """Each invalid entry of `line` [B, D, N] from the nearest valid one whole seasons before it."""
    batch, channels, size = line.shape
    rows = -(-size // season)
    pad = rows * season - size
    place = torch.arange(size, device=line.device).expand(batch, channels, size)
    place = torch.where(valid, place, torch.full_like(place, -1))
    place = torch.nn.functional.pad(place, (pad, 0), value=-1).view(batch, channels, rows, season)
    nearest = place.cummax(dim=2).values.view(batch, channels, rows * season)[..., pad:]
    return line.gather(-1, nearest.clamp(min=0))
