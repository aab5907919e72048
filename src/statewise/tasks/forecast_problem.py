"""Forecasting as a training problem: every position of every series is an example for all horizons.

Series are cut into lanes at offsets drawn anew in every epoch; a lane begins with a stretch that only warms
the state (not at the true start of a series, which is trained as the cold start it is).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from statewise.core.errors import DataError
from statewise.data.chunks import Chunk, cut
from statewise.rows.layout import ForecastArrays
from statewise.state import State

Input = tuple[Tensor, Tensor]


class Trainable(Protocol):
    """What a forecast network offers to training."""

    def initial_state(self, batch: int) -> State:
        """The state before the first observation."""

    def losses(self, x: Input, target: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Loss of each forecast [B, T, D, H], where it counts (elsewhere it is 0), and the state after."""


@dataclass(frozen=True)
class Lanes:
    """How series are cut: `warm` steps that only fill the state, then `span` trained ones."""

    warm: int
    span: int
    batch_size: int
    chunk_length: int | None


class SeriesTensors:
    """One series: now [T, F], future line [T + H, G], targets ahead [T, D, H], first held-out step."""

    def __init__(self, arrays: ForecastArrays, targets: int, validation: float) -> None:
        self.now = torch.from_numpy(arrays.now)
        self.future = torch.from_numpy(arrays.future)
        self.time = len(self.now)
        self.horizon = len(self.future) - self.time
        line = torch.cat((self.now[:, :targets], torch.full((self.horizon, targets), torch.nan)))
        self.ahead = line.unfold(0, self.horizon, 1)[1:]
        held_out = max(2 * self.horizon, round(self.time * validation)) if validation else 0
        end = self.time - held_out
        # Only where rows enough to train on are left, and both parts have something to forecast.
        parts = self.ahead[: max(end - self.horizon, 0)], self.ahead[max(end - 1, 0) :]
        whole = end - self.horizon < 4 or any(bool(part.isnan().all()) for part in parts)
        self.train_end = self.time if whole else end
        position = torch.arange(self.time)
        self.trained = (position + self.horizon < self.train_end + self._reach()).float()

    @property
    def examples(self) -> int:
        """Trained positions with something to forecast."""
        return int((self.trained.bool() & ~self.ahead.isnan().flatten(1).all(dim=1)).sum())

    def _reach(self) -> int:
        """Without a tail, positions near the end train on the horizons that are there."""
        return self.horizon if self.train_end == self.time else 0

    def lane(self, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        """now [L, F], future [L, H, G] (a view), target [L, D, H] of steps start … stop - 1."""
        ahead = self.future[start : stop + self.horizon].unfold(0, self.horizon, 1)[1:]
        return self.now[start:stop], ahead.transpose(1, 2), self.ahead[start:stop]


Network = TypeVar("Network", bound=Trainable)


class ForecastProblem(Generic[Network]):
    """Training data and loss of a forecaster; `validation` is the held-out share at each series' end."""

    def __init__(
        self,
        network: Network,
        arrays: Sequence[ForecastArrays],
        targets: int,
        lanes: Lanes,
        validation: float,
    ) -> None:
        self.network = network
        self.lanes = lanes
        self.series = [SeriesTensors(part, targets, validation) for part in arrays]
        self.examples = sum(part.examples for part in self.series)
        if not self.examples:
            longest = max(part.time for part in self.series)
            raise DataError(
                f"data: no row has a value after it to learn from (the longest series has {longest}): "
                "give more rows."
            )
        self.held_out = [part for part in self.series if part.train_end < part.time]

    @property
    def validates(self) -> bool:
        """Whether any series is long enough for a held-out tail."""
        return bool(self.held_out)

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        """All lanes once, in random groups, at offsets drawn anew."""
        places = [(index, *span) for index, part in enumerate(self.series) for span in self._spans(part, rng)]
        order = rng.permutation(len(places))
        for first in range(0, len(places), self.lanes.batch_size):
            group = [places[i] for i in order[first : first + self.lanes.batch_size]]
            yield from cut(*self._batch(group), self.lanes.chunk_length)

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(now, target, weight) of whole series one by one, for the closed-form start."""
        for part in self.series:
            weight = part.trained.clone()
            weight[: min(self.lanes.warm, part.time // 2)] = 0
            yield part.now.unsqueeze(0), part.ahead.unsqueeze(0), weight.unsqueeze(0)

    def loss(self, network: Network, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        """Mean loss over the trained forecasts of a chunk."""
        total, weight, after = self.total(network, chunk, state)
        return total / weight.clamp(min=1), after

    def total(self, network: Network, chunk: Chunk, state: State) -> tuple[Tensor, Tensor, State]:
        """Summed loss over the trained forecasts of a chunk, how many these are, and the state after."""
        losses, counts, after = network.losses(chunk.inputs, chunk.target, state)
        weight = chunk.weight[..., None, None] * counts.to(losses.dtype)
        return (losses * weight).sum(), weight.sum(), after

    def validate(self, network: Network) -> float:
        """Mean loss over the held-out tails; their state is warmed by the rows before."""
        total, count = 0.0, 0.0
        for part in self.held_out:
            start = max(0, part.train_end - 4 * self.lanes.warm - part.horizon)
            now, future, target = part.lane(start, part.time)
            losses, counts, _ = network.losses(
                (now.unsqueeze(0), future.unsqueeze(0)), target.unsqueeze(0), network.initial_state(1)
            )
            tail = part.train_end - 1 - start
            total += float(losses[:, tail:].sum())
            count += float(counts[:, tail:].sum())
        return total / max(count, 1.0)

    def _spans(self, part: SeriesTensors, rng: np.random.Generator) -> list[tuple[int, int]]:
        """The trained steps of each lane of a series, together every one once; 0 is its true start."""
        span, end = self.lanes.span, int(part.trained.sum())
        offset = int(rng.integers(span)) if end > span else 0
        edges = [0, *range(offset, end, span), end]
        return [(start, stop) for start, stop in itertools.pairwise(edges) if start < stop]

    def _batch(self, group: list[tuple[int, int, int]]) -> tuple[Input, Tensor, Tensor]:
        """Lanes padded to one length: inputs, targets and weights."""
        parts = []
        for index, start, stop in group:
            series = self.series[index]
            begin = max(0, start - self.lanes.warm)
            weight = series.trained[begin:stop].clone()
            weight[: start - begin] = 0
            parts.append((*series.lane(begin, stop), weight))
        length = max(len(part[0]) for part in parts)
        now, future, target = (
            torch.stack([_padded(part[i], length, torch.nan) for part in parts]) for i in range(3)
        )
        weight = torch.stack([_padded(part[3], length, 0.0) for part in parts])
        return (now, future), target, weight


def _padded(x: Tensor, length: int, value: float) -> Tensor:
    if len(x) == length:
        return x
    return torch.cat((x, x.new_full((length - len(x), *x.shape[1:]), value)))
