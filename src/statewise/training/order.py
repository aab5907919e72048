"""The order of the data: an endless stream of chunks that can be taken up in the middle of an epoch."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

from torch import nn

from statewise import state as states
from statewise.core.errors import ShapeError, TrainingError
from statewise.data.chunks import Chunk
from statewise.recurrence import Recurrence
from statewise.state import State
from statewise.training.config import DEFAULT_STEPS
from statewise.training.problem import Network, Problem
from statewise.training.run import Run


def chunks(problem: Problem[Network], run: Run) -> Iterator[Chunk]:
    """Epoch after epoch, from where the run's counters stand; an epoch's end drops the carried state."""
    counters = run.counters
    while True:
        run.order_at_epoch = run.order.bit_generator.state
        seen, count = counters.chunk, 0
        for count, chunk in enumerate(problem.epoch(run.order), start=1):
            if count > seen:
                counters.chunk = count
                yield chunk
        if count == 0:
            raise TrainingError(f"epoch {counters.epoch}: it has no chunks; is there data to train on?")
        counters.epoch, counters.chunk = counters.epoch + 1, 0
        run.carried = None


def step_limit(problem: Problem[Network], run: Run) -> int | None:
    """The run's limit in steps; None when time alone ends it. Epochs are counted out on the first one."""
    config = run.config
    limits = [config.steps] if config.steps is not None else []
    if config.epochs is not None:
        with run.random:
            count = sum(1 for _ in problem.epoch(copy.deepcopy(run.order)))
        limits.append(max(config.epochs * count, 1))
    if not limits and math.isinf(config.budget):
        limits.append(DEFAULT_STEPS)
    return min(limits, default=None)


def initial_state(network: nn.Module, lanes: int) -> State:
    """A recurrence's own; empty for a network that reads whole sequences."""
    return network.initial_state(lanes) if isinstance(network, Recurrence) else ()


def state_before(run: Run, chunk: Chunk) -> State:
    """The state a chunk starts from: new for a fresh one, else the carried one; an error if there is none."""
    lanes = chunk.weight.shape[0]
    if chunk.fresh:
        return initial_state(run.network, lanes)
    where = f"epoch {run.counters.epoch}, chunk {run.counters.chunk - 1}"
    if run.carried is None:
        raise TrainingError(f"{where}: the first chunk of an epoch has no state to carry on; mark it fresh.")
    if states.tensors(run.carried) and (got := states.batch_size(run.carried)) != lanes:
        raise ShapeError(
            f"{where}: {lanes} lanes, the carried state has {got}; mark a chunk of new lanes fresh."
        )
    return run.carried
