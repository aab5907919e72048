"""The forecast of every coalition: the newest rows replayed with the parts of absent players replaced.

The law whole = chunks at work: the true state before the replayed rows is computed once, and coalitions
that agree up to some row share their states up to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from statewise import state as states
from statewise.explain.players import Cast
from statewise.recurrence import Recurrence
from statewise.state import State

_BUDGET = 12_000_000  # numbers held at once by a pass of the network, roughly


class Scene(NamedTuple):
    """One origin: the state before its newest R rows, and these rows."""

    state: State  # batch 1
    now: Tensor  # [R, F], the origin last
    future: Tensor  # [R + H, G]; row i goes with `now` row i
    profile: Tensor  # [R, D] seasonal profile at the phase of each row


Advance = Callable[[int], None]


@torch.no_grad()
def coalition_forecasts(
    network: Recurrence, scene: Scene, cast: Cast, edges: tuple[int, int], advance: Advance
) -> Tensor:
    """Standardised forecasts [2**n, D, H, 1 + Q] made at the origin by every coalition.

    Bit n - 1 - i of a coalition's number says that player i takes part: the newest bands are the highest
    bits, as they act last. `edges` are the places in R where the band before and the newest band begin.
    `advance` hears the row-steps done.
    """
    count = len(cast.players)
    starts = (0, *edges, len(scene.now))
    owners = (Cast.OLDER, Cast.BEFORE, Cast.NEWEST)
    fresh = network.initial_state(1)
    older = torch.arange(2 ** (count - 2)) >> (count - 1 - Cast.OLDER) & 1
    current = states.take(states.concat([fresh, scene.state]), older)
    forecasts = torch.empty(0)
    for part, owner in enumerate(owners):
        size = 2 ** (count - 2 + part)
        if part:
            current = states.take(current, torch.arange(size) % (size // 2))
        begin, end = starts[part], starts[part + 1]
        if begin < end:
            rows = _Rows(scene, cast, owner, begin, end)
            forecasts, current = _run(network, rows, current, advance)
    return forecasts


class _Rows:
    """Rows of a scene between two places, with the parts of absent players replaced."""

    def __init__(self, scene: Scene, cast: Cast, owner: int, begin: int, end: int) -> None:
        self.length = end - begin
        horizon = len(scene.future) - len(scene.now)
        self.now = scene.now[begin:end]
        self.future = scene.future[begin : end + horizon]
        self.horizon = horizon
        last = len(cast.players) - 1
        self.season_bit = last - Cast.SEASON
        self.now_bits = last - torch.from_numpy(np.where(cast.now < 0, owner, cast.now))
        self.future_bits = last - torch.from_numpy(cast.future)
        targets = int((cast.now < 0).sum())
        plain = torch.zeros_like(self.now)
        seasonal = plain.clone()
        seasonal[:, :targets] = scene.profile[begin:end]
        self.hidden = torch.stack((plain, seasonal))  # without and with the season

    def of(self, coalitions: Tensor) -> tuple[Tensor, Tensor]:
        """now [B, L, F] and future [B, L, H, G] as coalitions [B] see them; what is missing stays missing."""
        present = (coalitions.unsqueeze(1) >> self.now_bits & 1).bool().unsqueeze(1)
        hidden = self.hidden[coalitions >> self.season_bit & 1]
        now = torch.where(present | self.now.isnan(), self.now, hidden)
        seen = (coalitions.unsqueeze(1) >> self.future_bits & 1).bool().unsqueeze(1)
        line = torch.where(seen | self.future.isnan(), self.future, torch.zeros_like(self.future))
        return now, line.unfold(1, self.horizon, 1)[:, 1:].transpose(2, 3)


def _run(network: Recurrence, rows: _Rows, state: State, advance: Advance) -> tuple[Tensor, State]:
    """Last forecasts [B, D, H, 1 + Q] and states of all coalitions, in batches of bounded memory."""
    batch = states.batch_size(state)
    row = states.size_in_bytes(state) // (4 * batch) * 4 + rows.horizon * (rows.future.shape[1] + 16) + 64
    size = max(1, _BUDGET // (row * rows.length))
    found, after = [], []
    for coalitions in torch.split(torch.arange(batch), size):
        made, left = network(rows.of(coalitions), states.take(state, coalitions))
        found.append(made[:, -1].clone())  # not a view, which would keep the forecasts of all rows
        after.append(left)
        advance(len(coalitions) * rows.length)
    return torch.cat(found), states.concat(after)


@torch.no_grad()
def states_before(
    network: Recurrence, now: Tensor, future: Tensor, places: NDArray[np.int64], chunk: int
) -> list[State]:
    """States before each of `places` (rising) of now [T, F] with the future line [T + H, G], in one pass."""
    horizon = len(future) - len(now)
    ahead = future.unfold(0, horizon, 1)[1:].transpose(1, 2)
    state, done, found = network.initial_state(1), 0, []
    for place in places:
        while done < place:
            stop = min(done + chunk, int(place))
            _, state = network((now[done:stop].unsqueeze(0), ahead[done:stop].unsqueeze(0)), state)
            done = stop
        found.append(state)
    return found
