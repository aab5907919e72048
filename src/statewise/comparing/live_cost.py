"""What a live session of a model costs: time of a step, bytes of its state and of its weights."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from statewise import state as states
from statewise.models.forecast import ForecastModel
from statewise.nn.live import TorchEngine
from statewise.ops.threads import one_thread
from statewise.rows.panel import Series

READ = 2048  # newest rows that a session has read when it is measured: some states grow with them
_WARM, _ROUNDS, _STEPS = 10, 3, 60


@dataclass(frozen=True)
class LiveCost:
    """Median seconds of a step of one row on one thread, and what one session holds in memory."""

    step: float
    state_bytes: int
    weight_bytes: int


class _Session:
    """A live session that has read the newest rows of a series, and can be stepped on from there."""

    def __init__(self, model: ForecastModel, series: Series) -> None:
        now, future = model.codec.encode(series)
        horizon = model.task.horizon
        now, line = now[-READ:], future[max(0, len(now) - READ) :]
        self._engine: Any = TorchEngine(model.forecaster, "")
        self._inputs = (now[-1:], line[None, len(now) : len(now) + horizon])
        ahead = torch.from_numpy(line).unfold(0, horizon, 1)[1:].transpose(1, 2)
        with torch.inference_mode():
            _, self._state = model.forecaster((torch.from_numpy(now)[None], ahead[None]))
        self.state_bytes = states.size_in_bytes(self._state)

    def steps(self, count: int) -> list[float]:
        """Seconds of each of so many steps."""
        found = []
        for _ in range(count):
            begin = time.perf_counter()
            _, self._state = self._engine.step(self._inputs, self._state)
            found.append(time.perf_counter() - begin)
        return found


def live_costs(models: Mapping[str, ForecastModel], series: Series) -> dict[str, LiveCost | Exception]:
    """The cost of each model by name, measured in turns, so that what else the machine does hits all alike.

    A session that has read the end of `series` is the yardstick. What a model raises stands in place of its
    cost.
    """
    sessions: dict[str, _Session] = {}
    found: dict[str, LiveCost | Exception] = {}
    taken: dict[str, list[float]] = {name: [] for name in models}
    with one_thread():
        for name, model in models.items():
            try:
                sessions[name] = _Session(model, series)
                sessions[name].steps(_WARM)
            except Exception as error:  # one cell that fails must not end the comparison
                found[name] = error
        for _ in range(_ROUNDS):
            for name, session in sessions.items():
                if name not in found:
                    taken[name] += session.steps(_STEPS)
    for name, session in sessions.items():
        if name not in found:
            step = statistics.median(taken[name])
            found[name] = LiveCost(step, session.state_bytes, _weight_bytes(models[name]))
    return found


def _weight_bytes(model: ForecastModel) -> int:
    """Bytes of everything that is the same for all sessions: parameters and closed-form readouts."""
    tensors = model.forecaster.state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def longest(series: tuple[Series, ...]) -> Series:
    """The longest series of a panel."""
    return max(series, key=len)
