"""Masks of zoneout (Krueger et al. 2017), new at every step and still the same for any cut of a sequence.

A mask is a function of (seed of the row, number of the step, unit), so that in whatever order the steps are
taken, and wherever a sequence is cut, each step draws what it would have drawn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from statewise.ops.native import kernel_name, native_for, pointer, threads

_WORD = 0xFFFFFFFF
_UNIT = 0x9E3779B9  # 2^32 divided by the golden ratio


def zoneout_keys(draws: Tensor, time: int, lengths: Tensor | None) -> Tensor:
    """One key [N] for each real step of rows laid end to end; `draws` [B, 2] holds seeds and steps taken."""
    batch = len(draws)
    counts = draws.new_full((batch,), time) if lengths is None else lengths.to(torch.int64)
    rows = torch.arange(batch, device=draws.device).repeat_interleave(counts)
    begin = counts.cumsum(0) - counts
    step = torch.arange(len(rows), device=draws.device) - begin[rows] + draws[rows, 1]
    return _mixed((draws[rows, 0] + _mixed(step & _WORD)) & _WORD)


def zoneout_mask(keys: Tensor, width: int, first: int, rate: float, like: Tensor) -> Tensor:
    """[N, width] of the dtype of `like`: 1 (stay) with probability `rate`, for units from `first` on."""
    module = native_for(like.detach())
    if module is not None:
        out, keys = like.new_empty(len(keys), width), keys.contiguous()
        run = getattr(module, kernel_name("zoneout_mask", like))
        run(pointer(keys), pointer(out), len(keys), width, first, rate, threads())
        return out
    units = torch.arange(first, first + width, device=keys.device) * _UNIT
    drawn = _mixed((keys.unsqueeze(1) + units) & _WORD) >> 8
    return (drawn < int(rate * 2**24)).to(like.dtype)


def _mixed(x: Tensor) -> Tensor:
    """32 bits scrambled (Wellons' "lowbias32"); products wrap, and their lower half stays right."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _WORD
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _WORD
    return x ^ (x >> 16)
