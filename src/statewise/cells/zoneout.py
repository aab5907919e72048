"""Zoneout (Krueger et al. 2017): units that keep their old value for a step, as a part of a cell's state.

In training each unit stays with probability `rate`, drawn anew at every step; in evaluation every unit moves
by 1 - `rate` of its way, the expectation. What is drawn is a function of the row's seed and of how many steps
it has taken, both in the state: so chunks and steps draw what the whole sequence draws.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from statewise.ops.zoneout import zoneout_keys, zoneout_mask


class Zone(NamedTuple):
    """What stays over some steps: a mask [N, units], or (mask None) the same rate everywhere."""

    stay: Tensor | None
    rate: float

    @property
    def value(self) -> Tensor | float:
        """The mask or the rate."""
        return self.rate if self.stay is None else self.stay


def start_draws(batch: int, rate: float, like: Tensor) -> Tensor:
    """Seeds and steps taken [B, 2] (int64) of fresh rows; [B, 0] when `rate` is 0."""
    if rate == 0.0:
        return like.new_zeros(batch, 0)
    seeds = torch.randint(2**31, (batch, 1), device=like.device)
    return torch.cat((seeds, torch.zeros_like(seeds)), dim=1)


def zones(
    draws: Tensor,
    rates: tuple[float, ...],
    widths: tuple[int, ...],
    training: bool,
    like: Tensor,
    time: int = 1,
    lengths: Tensor | None = None,
) -> tuple[list[Zone], Tensor]:
    """One zone per rate over the next `time` steps (`lengths` of each row), and the draws after them."""
    if not training or not any(rates):
        return [Zone(None, rate) for rate in rates], draws
    keys, first, found = zoneout_keys(draws, time, lengths), 0, []
    for rate, width in zip(rates, widths, strict=True):
        found.append(Zone(zoneout_mask(keys, width, first, rate, like) if rate else None, 0.0))
        first += width
    taken = time if lengths is None else lengths.to(torch.int64)
    return found, torch.stack((draws[:, 0], draws[:, 1] + taken), dim=1)
