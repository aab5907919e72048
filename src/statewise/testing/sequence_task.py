"""The law for tasks on sequences of items: the live step, answers in a batch, losses in a batch."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statewise import state as states
from statewise.core.errors import LawError
from statewise.data.chunks import Chunk
from statewise.models.model import Model
from statewise.nn.backbone import BackboneConfig
from statewise.recurrence import Input, Recurrence
from statewise.tasks.task import Task
from statewise.testing.recurrence import check_recurrence
from statewise.training.order import initial_state
from statewise.training.plan import HeldOut, Settings
from statewise.training.plans.table import PLANS

_ANSWERED = 6  # rows that are answered together and alone
_TIME = 8  # steps of the windows that the live step is checked on
_LOSS_ROWS = 8
_CLOSE = 1e-4  # of answers in float32, relative


def check_sequence_task(
    task: Task, data: Any, *, backbone: BackboneConfig | None, rows: int, tolerance: float, seed: int
) -> None:
    """See `check_task`."""
    kind = PLANS[task.kind]
    small = backbone or replace(kind.backbone, hidden_size=8, dropout=0.0, recurrent_dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        plan = kind.plan(task, data, Settings(small, replace(kind.train, seed=seed), validation=0.2))
        for problem in plan.problems():
            _check_loss(problem, seed)
        model = plan.model({})
    if model.streams_live:
        check_recurrence(
            lambda: shaken(model.live), Items(model, data, rows), time=_TIME, tolerance=tolerance, seed=seed
        )
    _check_answers(model, data)


def shaken(live: Recurrence) -> Recurrence:
    """A copy with every weight moved at random: a readout of zeros would hide everything."""
    twin = copy.deepcopy(live).eval()
    with torch.no_grad():
        for weight in twin.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return twin


class Items:
    """Draws windows of encoded items [B, T, ...] from the sequences of some rows."""

    def __init__(self, model: Model, data: Any, rows: int) -> None:
        encode = model.codec.encode_item
        sequences = [items for items in model.items(data)[:rows] if items]
        self.sequences = [
            tuple(np.stack(part) for part in zip(*map(encode, items[: 4 * _TIME]), strict=True))
            for items in sequences
        ]

    def __call__(self, batch: int, time: int) -> Input:
        windows = [self._window(time) for _ in range(batch)]
        parts = tuple(torch.from_numpy(np.stack(column)) for column in zip(*windows, strict=True))
        return parts[0] if len(parts) == 1 else parts

    def _window(self, time: int) -> list[np.ndarray]:
        """From a random place; a sequence that is shorter begins anew until it is long enough."""
        arrays = self.sequences[int(torch.randint(len(self.sequences), ()))]
        start = int(torch.randint(len(arrays[0]), ()))
        places = (start + np.arange(time)) % len(arrays[0])
        return [array[places] for array in arrays]


def _check_loss(problem: HeldOut, seed: int) -> None:
    """Law 5: the loss of a batch is the mean of its rows' losses, each weighted as in the batch."""
    network = problem.network.eval()
    chunk = next(iter(problem.epoch(np.random.default_rng(seed))))
    chunk = _rows_of(chunk, range(min(_LOSS_ROWS, len(chunk.weight))))
    weights = chunk.weight.sum(dim=1)
    with torch.no_grad():
        whole, alone = _loss(problem, chunk), []
        for row in range(len(chunk.weight)):
            alone.append(_loss(problem, _rows_of(chunk, [row])) if weights[row] else torch.zeros(()))
    mean = float((torch.stack(alone) * weights).sum() / weights.sum())
    if not abs(float(whole) - mean) <= _CLOSE * max(1.0, abs(mean)):
        name = type(network).__name__
        raise LawError(
            f"{name} breaks law 5 (rows are independent): the loss of {len(weights)} rows is "
            f"{float(whole):.6g} together, {mean:.6g} one by one."
        )


def _loss(problem: HeldOut, chunk: Chunk) -> Tensor:
    state = initial_state(problem.network, len(chunk.weight))
    return problem.loss(problem.network, chunk, state)[0]


def _rows_of(chunk: Chunk, rows: Sequence[int]) -> Chunk:
    index = torch.tensor(list(rows))
    inputs, target, weight = states.take((chunk.inputs, chunk.target, chunk.weight), index)
    return Chunk(inputs, target, weight, fresh=True)


def _check_answers(model: Model, data: Any) -> None:
    """Law 5: an answer is the same whatever else is answered with it."""
    rows = model.task.rows(data)
    groups = model.answered(rows)[:_ANSWERED]

    def taken(numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [{name: rows[name][row] for name in rows.columns} for row in numbers]

    together = model.predict(taken(sorted(row for group in groups for row in group)))
    for answer, group in zip(together, groups, strict=True):
        (alone,) = model.predict(taken(group))
        if place := _difference(answer, alone, "answer"):
            at = rows.place(group[0])
            raise LawError(f"{type(model).__name__} breaks law 5 (rows are independent): {place} ({at}).")


def _difference(one: Any, other: Any, path: str) -> str:
    """Where two plain values differ by more than rounding; empty when they do not."""
    if isinstance(one, Mapping) and isinstance(other, Mapping) and set(one) == set(other):
        found = (_difference(one[key], other[key], f"{path}.{key}") for key in one)
        return next(filter(None, found), "")
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        found = (_difference(a, b, f"{path}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=True)))
        return next(filter(None, found), "")
    if isinstance(one, float) and isinstance(other, float):
        same = abs(one - other) <= _CLOSE * max(1.0, abs(other)) or (one != one and other != other)
    else:
        same = one == other
    return "" if same else f"{path} is {one!r} among others, {other!r} alone"
