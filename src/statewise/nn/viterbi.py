"""The best label sequences of a random field: the n best per row (Viterbi 1967; n best: Seshadri 1994)."""

from __future__ import annotations

import torch
from torch import Tensor

from statewise.core.errors import ConfigError
from statewise.nn.crf import ILLEGAL, Chain
from statewise.recurrence import zero_padding


@torch.no_grad()
def viterbi(emissions: Tensor, chain: Chain, lengths: Tensor) -> Tensor:
    """The best label sequence [B, T] of each row, 0 after its length, given emissions [B, T, K]."""
    paths, _ = n_best(emissions, chain, lengths, 1)
    return paths[:, 0]


@torch.no_grad()
def n_best(emissions: Tensor, chain: Chain, lengths: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The `n` best label sequences [B, n, T] of each row and their scores [B, n], best first.

    Where there are fewer legal ones the scores that are left over are -inf. An empty row has one, of score 0.
    """
    if n < 1:
        raise ConfigError(f"n_best: got {n}, want 1 or more.")
    batch, time, size = emissions.shape
    emissions = zero_padding(emissions, lengths)
    absent = emissions.new_full((batch, size, n), -torch.inf)
    # scores[b, label, rank]: the rank-th best beginning that ends in the label.
    scores = absent.index_copy(2, torch.tensor([0]), (chain.start + emissions[:, 0]).unsqueeze(2))
    came_from = []
    for t in range(1, time):
        ways = scores.transpose(1, 2).reshape(batch, n * size, 1) + chain.transitions.repeat(n, 1)
        best, way = ways.topk(n, dim=1)  # [B, n, K]: rank-major, so that way = rank * K + label
        after = best.transpose(1, 2) + emissions[:, t].unsqueeze(2)
        goes_on = (lengths > t).view(-1, 1, 1)
        scores = torch.where(goes_on, after, scores)
        came_from.append(way.transpose(1, 2))
    finals, place = (scores + chain.end.unsqueeze(1)).transpose(1, 2).flatten(1).topk(n, dim=1)
    finals = torch.where(finals > ILLEGAL / 2, finals, -torch.inf)
    paths = _trace(place, came_from, lengths, size)
    return _with_empty_rows(paths, finals, lengths)


def _trace(place: Tensor, came_from: list[Tensor], lengths: Tensor, size: int) -> Tensor:
    """Follow the ways back: `place` [B, n] = rank * K + label at each row's last step."""
    steps = [place % size]
    for t in range(len(came_from), 0, -1):
        ways = came_from[t - 1].flatten(1)  # [B, K * n], label-major
        rank, label = place // size, place % size
        before = ways.gather(1, label * (ways.shape[1] // size) + rank)
        place = torch.where((lengths > t).unsqueeze(1), before, place)
        steps.append(place % size)
    return torch.stack(steps[::-1], dim=2)


def _with_empty_rows(paths: Tensor, scores: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    real = torch.arange(paths.shape[2]) < lengths.view(-1, 1, 1)
    only = torch.full_like(scores, -torch.inf)
    only[:, 0] = 0.0
    return paths.masked_fill(~real, 0), torch.where((lengths > 0).unsqueeze(1), scores, only)
