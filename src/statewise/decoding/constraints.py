"""What a hypothesis may go on with: a forced beginning, no repeated n-gram, a least and a largest length.

Each function gives log-probabilities [N, V] with -inf where the next token is not allowed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def forced(log_probs: Tensor, token: Tensor) -> Tensor:
    """Rows with `token` [N] ≥ 0 may go on with that token alone; -1 forces nothing."""
    kept = torch.full_like(log_probs, -math.inf)
    place = token.clamp(min=0).unsqueeze(1)
    kept.scatter_(1, place, log_probs.gather(1, place))
    return torch.where((token >= 0).unsqueeze(1), kept, log_probs)


def without_repeats(log_probs: Tensor, tokens: Tensor, n: int) -> Tensor:
    """No n-gram of `tokens` [N, t] comes twice (Paulus, Xiong and Socher 2018, section 2.5)."""
    time = tokens.shape[1]
    if n < 1 or time < n:
        return log_probs
    grams = tokens.unfold(1, n, 1)  # [N, t - n + 1, n]
    last = tokens[:, time - n + 1 :].unsqueeze(1)
    seen = (grams[:, :, : n - 1] == last).all(dim=-1)
    banned = torch.zeros_like(log_probs, dtype=torch.int64)
    banned.scatter_add_(1, grams[:, :, n - 1], seen.long())
    return log_probs.masked_fill(banned > 0, -math.inf)


def within_length(log_probs: Tensor, length: int, least: int, largest: Tensor, end: int) -> Tensor:
    """No end before `least` tokens, nothing but the end after `largest` [N], which goes before `least`.

    `length` tokens were written.
    """
    over = largest <= length
    if length < least:
        ends = log_probs[:, end]
        log_probs = log_probs.clone()
        log_probs[:, end] = torch.where(over, ends, -math.inf)
    return forced(log_probs, torch.where(over, end, -1)) if bool(over.any()) else log_probs
