"""The linear-chain conditional random field of Lafferty, McCallum and Pereira 2001, as pure functions.

With e the emissions of the network, A the transitions, s and r the scores of the first and the last label:

    score(y) = s[y_1] + Σ e_t[y_t] + Σ A[y_t, y_t+1] + r[y_T]     log p(y) = score(y) - log Σ_y' exp score(y')

The sum over all label sequences is the forward recursion; its gradient is the backward one, written out here
because a tape over every step of a sentence costs several times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from statewise.core.errors import ShapeError
from statewise.recurrence import real_steps, zero_padding

ILLEGAL = -1e4  # score of what may not be: exp of it is 0 in every precision, and sums of a few stay finite


class Legality(NamedTuple):
    """Which labels may start, follow each other, and end: NumPy masks [K], [K, K] (from, to), [K]."""

    start: np.ndarray
    transitions: np.ndarray
    end: np.ndarray


class Chain(NamedTuple):
    """The scores between labels; what is illegal has the score `ILLEGAL`."""

    start: Tensor  # [K]
    transitions: Tensor  # [K, K], from row to column
    end: Tensor  # [K]


class Posterior(NamedTuple):
    """What forward and backward recursion leave behind: every marginal is a sum of these and of scores."""

    ahead: Tensor  # [B, T, K], log Σ of all beginnings that end in the label, its emission included
    back: Tensor  # [B, T, K], log Σ of all endings after the label, its emission left out
    total: Tensor  # [B], log Σ of all sequences; 0 for an empty row


class Transitions(nn.Module):
    """The learned scores between `size` labels; `legality` forbids some of them for good."""

    def __init__(self, size: int, legality: Legality | None = None) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(size))
        self.between = nn.Parameter(torch.zeros(size, size))
        self.end = nn.Parameter(torch.zeros(size))
        free = Legality(np.ones(size, bool), np.ones((size, size), bool), np.ones(size, bool))
        for name, mask in zip(Legality._fields, legality or free, strict=True):
            self.register_buffer(f"{name}_legal", torch.from_numpy(np.array(mask, bool)), persistent=False)

    def forward(self) -> Chain:
        """The scores, with what is illegal out of reach."""
        parts = (self.start, self.between, self.end)
        masks = (self.get_buffer(f"{name}_legal") for name in Legality._fields)
        return Chain(*(part.masked_fill(~mask, ILLEGAL) for part, mask in zip(parts, masks, strict=True)))


def log_likelihood(emissions: Tensor, labels: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """log p(labels) [B] of `labels` [B, T] given emissions [B, T, K]; 0 for an empty row."""
    return path_score(emissions, labels, chain, lengths) - log_partition(emissions, chain, lengths)


def path_score(emissions: Tensor, labels: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """The score [B] of one label sequence per row; what stands after a row's length is not read."""
    _check(emissions, lengths, labels)
    real = real_steps(lengths, emissions.shape[1])
    labels = labels.masked_fill(~real, 0)
    each = emissions.gather(2, labels.unsqueeze(2)).squeeze(2)
    pairs = chain.transitions[labels[:, :-1], labels[:, 1:]]
    none = emissions.new_zeros(())
    inner = torch.where(real, each, none).sum(1) + torch.where(real[:, 1:], pairs, none).sum(1)
    last = labels.gather(1, (lengths - 1).clamp(min=0).unsqueeze(1)).squeeze(1)
    return torch.where(lengths > 0, inner + chain.start[labels[:, 0]] + chain.end[last], none)


def log_partition(emissions: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """log Σ exp score [B] over all label sequences, by the forward recursion; differentiable once."""
    _check(emissions, lengths)
    total: Tensor = _LogPartition.apply(zero_padding(emissions, lengths), *chain, lengths)  # type: ignore[no-untyped-call]
    return total


def posterior(emissions: Tensor, chain: Chain, lengths: Tensor) -> Posterior:
    """Forward and backward recursion over emissions [B, T, K]; without gradient."""
    _check(emissions, lengths)
    with torch.no_grad():
        emissions = zero_padding(emissions, lengths)
        ahead = _ahead(emissions, chain)
        return Posterior(ahead, _back(emissions, chain, lengths), _total(ahead, chain, lengths))


def marginals(found: Posterior, lengths: Tensor) -> Tensor:
    """p(label at t) [B, T, K] of every token given the whole sentence; 0 after each row's length."""
    each: Tensor = zero_padding((found.ahead + found.back - found.total[:, None, None]).exp(), lengths)
    return each


def tempered(chain: Chain, temperature: float | Tensor) -> Chain:
    """The scores divided by `temperature`: above 1 the chain is less sure. What is illegal stays so."""
    return Chain(*(torch.where(part > ILLEGAL / 2, part / temperature, part) for part in chain))


def mean_chain(chains: Sequence[Chain]) -> Chain:
    """The chain of mean scores: with mean emissions, the logarithmic opinion pool of random fields.

    Source: Smith, Cohn and Osborne 2005.
    """
    return Chain(*(torch.stack(parts).mean(dim=0) for parts in zip(*chains, strict=True)))


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, start: Tensor, transitions: Tensor, end: Tensor, lengths: Tensor
    ) -> Tensor:
        chain = Chain(start, transitions, end)
        ahead = _ahead(emissions, chain)
        total = _total(ahead, chain, lengths)
        ctx.save_for_backward(emissions, *chain, lengths, ahead, total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of the log partition is the expected number of times a score is used."""
        emissions, start, transitions, end, lengths, ahead, total = ctx.saved_tensors
        back = _back(emissions, Chain(start, transitions, end), lengths)
        rest = emissions + back - total[:, None, None]
        weight = gradient * (lengths > 0)
        token = zero_padding((ahead + back - total[:, None, None]).exp(), lengths) * weight[:, None, None]
        pair = ahead[:, :-1, :, None] + transitions + rest[:, 1:, None, :]
        inside = real_steps(lengths, emissions.shape[1])[:, 1:] * weight[:, None]
        last = token.gather(1, _last(lengths, token.shape[2])).squeeze(1)
        return (
            token,
            token[:, 0].sum(0),
            torch.einsum("btij,bt->ij", _exp(pair, inside), inside),
            last.sum(0),
            None,
        )


def _exp(pair: Tensor, inside: Tensor) -> Tensor:
    """exp where a pair counts, else 0: what stands in padding may be too large for it."""
    return torch.where(inside[:, :, None, None] != 0, pair, pair.new_full((), ILLEGAL)).exp()


def _ahead(emissions: Tensor, chain: Chain) -> Tensor:
    """Forward scores [B, T, K] of every step, those of padding included (nobody reads them)."""
    columns = emissions.transpose(0, 1).contiguous().unbind(0)
    scores = [chain.start + columns[0]]
    for emission in columns[1:]:
        scores.append((scores[-1].unsqueeze(2) + chain.transitions).logsumexp(1) + emission)
    return torch.stack(scores, dim=1)


def _back(emissions: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """Backward scores [B, T, K]; from each row's last real step on they are those of the end."""
    columns = emissions.transpose(0, 1).contiguous().unbind(0)
    scores = [chain.end.expand_as(columns[0])]
    backward = chain.transitions.t()
    for t in range(len(columns) - 1, 0, -1):
        before = ((scores[-1] + columns[t]).unsqueeze(2) + backward).logsumexp(1)
        scores.append(torch.where((lengths > t).unsqueeze(1), before, chain.end))
    return torch.stack(scores[::-1], dim=1)


def _total(ahead: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    last = ahead.gather(1, _last(lengths, ahead.shape[2])).squeeze(1)
    return torch.where(lengths > 0, (last + chain.end).logsumexp(1), ahead.new_zeros(()))


def _last(lengths: Tensor, size: int) -> Tensor:
    """Index [B, 1, K] of each row's last real step."""
    return (lengths - 1).clamp(min=0).view(-1, 1, 1).expand(-1, 1, size)


def _check(emissions: Tensor, lengths: Tensor, labels: Tensor | None = None) -> None:
    if emissions.dim() != 3 or emissions.shape[1] == 0:
        raise ShapeError(f"crf: got emissions of shape {list(emissions.shape)}, want [B, T, K] with T ≥ 1.")
    if lengths.shape != emissions.shape[:1]:
        raise ShapeError(f"crf: got lengths of shape {list(lengths.shape)}, want [{emissions.shape[0]}].")
    if labels is not None and labels.shape != emissions.shape[:2]:
        raise ShapeError(
            f"crf: got labels of shape {list(labels.shape)}, want {list(emissions.shape[:2])} as emissions."
        )
