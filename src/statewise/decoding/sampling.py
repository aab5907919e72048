"""Drawing the next token: filters on logits, and the loop that samples from a recurrence.

Every filter is a pure function on `logits` [..., V] (log-probabilities will do); what it takes away becomes
-inf, what it keeps stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor

from statewise.core.errors import ConfigError
from statewise.state import State

Step = Callable[[Tensor, State], tuple[Tensor, State]]  # tokens [B] to logits [B, V] and the state after

_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "temperature": (lambda value: 0 <= value < math.inf, "a number of at least 0 (0: always the likeliest)"),
    "top_k": (lambda value: value >= 0 and value == int(value), "a whole number of at least 0 (0: all)"),
    "top_p": (lambda value: 0 < value <= 1, "a share above 0, at most 1 (1: all)"),
    "min_p": (lambda value: 0 <= value <= 1, "a share from 0 (off) to 1"),
    "repetition_penalty": (lambda value: 1 <= value < math.inf, "a number of at least 1 (1: off)"),
}


class SamplingOptions(TypedDict, total=False):
    """The settings of `Sampling`, for functions that pass them on."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn; the filters act in the order of the fields after the penalty.

    `temperature` 0 takes the likeliest. `top_k` keeps that many tokens, `top_p` the smallest set with that
    probability, `min_p` those at least that share as likely as the likeliest. `repetition_penalty` weakens
    every token already seen. Raises ConfigError.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        for name, (allowed, want) in _RANGES.items():
            value = getattr(self, name)
            if not allowed(value):
                raise ConfigError(f"{name}: got {value!r}, want {want}.")

    def filtered(self, logits: Tensor, seen: Tensor | None = None) -> Tensor:
        """`logits` [B, V] as they are drawn from; `seen` [B, V] is true for tokens that are penalised."""
        if seen is not None and self.repetition_penalty > 1:
            logits = penalised(logits, seen, self.repetition_penalty)
        if self.temperature == 0:
            return kept_top_k(logits, 1)
        logits = logits / self.temperature
        logits = kept_top_k(logits, self.top_k) if self.top_k else logits
        logits = kept_top_p(logits, self.top_p) if self.top_p < 1 else logits
        return kept_min_p(logits, self.min_p) if self.min_p else logits


def penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    """Tokens already `seen` made less likely: their log-probability times `penalty` ≥ 1.

    Source: Keskar et al. 2019, CTRL, section 4.1, on log-probabilities, which are never positive: the
    original divides positive logits and so depends on a constant that changes no probability.
    """
    log_probs = logits.log_softmax(-1)
    return torch.where(seen, log_probs * penalty, log_probs)


def kept_top_k(logits: Tensor, k: int) -> Tensor:
    """The `k` largest logits; of equal ones those with the lowest index."""
    if k >= logits.shape[-1]:
        return logits
    order = logits.argsort(dim=-1, descending=True, stable=True)
    return _without(logits, order[..., k:])


def kept_top_p(logits: Tensor, p: float) -> Tensor:
    """The smallest set of likeliest tokens whose probability reaches `p`. Source: Holtzman et al. 2020."""
    ranked, order = logits.sort(dim=-1, descending=True, stable=True)
    probabilities = ranked.double().softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    enough = before >= p
    enough[..., 0] = False  # p ≤ 0 by rounding: one token is always left
    gone = torch.zeros_like(enough).scatter(-1, order, enough)
    return logits.masked_fill(gone, -math.inf)


def kept_min_p(logits: Tensor, share: float) -> Tensor:
    """Tokens at least `share` times as likely as the likeliest one. Source: Nguyen et al. 2024, min-p."""
    if share <= 0:
        return logits
    floor = logits.amax(-1, keepdim=True) + math.log(share)
    return logits.masked_fill(logits < floor, -math.inf)


def draw(logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One token [B] per row of `logits` [B, V], with the probabilities of their softmax."""
    probabilities = logits.double().softmax(-1)
    return torch.multinomial(probabilities, 1, generator=generator).squeeze(-1)


def sample(
    step: Step,
    logits: Tensor,
    state: State,
    sampling: Sampling = Sampling(),
    *,
    generator: torch.Generator | None = None,
    seen: Tensor | None = None,
) -> Iterator[Tensor]:
    """Tokens [B], one after the other without end: leave the `for` when there are enough.

    `logits` [B, V] are those after the prompt, `state` the state that goes with them; `seen` [B, V] marks the
    prompt's tokens for the repetition penalty. What is drawn is fed back through `step` when the next token
    is asked for, not before.
    """
    marks = torch.zeros_like(logits, dtype=torch.bool) if seen is None else seen.clone()
    while True:
        token = draw(sampling.filtered(logits, marks), generator)
        yield token
        marks.scatter_(-1, token.unsqueeze(-1), True)
        logits, state = step(token, state)


def _without(logits: Tensor, index: Tensor) -> Tensor:
    return logits.scatter(-1, index, -math.inf)
