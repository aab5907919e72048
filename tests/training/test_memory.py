"""Training in less memory: the same steps as plain training, through the loop and through `sw.fit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
import torch
from torch import Tensor

from statewise import state as states
from statewise.core.errors import ConfigError
from statewise.data.chunks import Chunk
from statewise.nn.memory import MemoryBudget
from statewise.state import State
from statewise.tasks.forecast import Forecast
from statewise.training import TrainConfig, train
from statewise.training.fit import fit
from statewise.training.memory import InMemory

CONFIG = TrainConfig(steps=5, learning_rate=0.02, validate_every=0, threads=1)


def additive(Toy: Any, **fields: Any) -> Any:
    """The toy problem with a loss that can be summed."""

    class Additive(Toy):  # type: ignore[misc]
        def total(self, network: Any, chunk: Chunk, state: State) -> tuple[Tensor, Tensor, State]:
            y, state = network(chunk.inputs, state)
            error = ((y - chunk.target) ** 2).mean(-1)
            return (error * chunk.weight).sum(), chunk.weight.sum(), state

    return Additive(**fields)


@pytest.mark.parametrize("chunk_length", [None, 5])
@pytest.mark.parametrize("steps", [3, 100])
def test_weights_are_those_of_plain_training(Toy: Any, chunk_length: int | None, steps: int) -> None:
    plain = additive(Toy, chunk_length=chunk_length, dropout=0.0)
    losses = [progress.loss for progress in train(plain, CONFIG)]
    problem = additive(Toy, chunk_length=chunk_length, dropout=0.0)
    found = [progress.loss for progress in train(InMemory(problem, MemoryBudget(steps=steps)), CONFIG)]
    assert found == pytest.approx(losses, rel=1e-5)
    for a, b in zip(plain.network.parameters(), problem.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


def test_gradient_of_draws_is_exact(Toy: Any) -> None:
    problem = additive(Toy, chunk_length=None, dropout=0.4)
    problem.network.double()
    x, y, weight = problem.x[:4].double(), problem.y[:4].double(), torch.ones(4, 12).double()
    chunk = Chunk(x, y, weight, fresh=True)
    wrapped = InMemory(problem, MemoryBudget(steps=4))

    def loss(*_: Tensor) -> Tensor:
        torch.manual_seed(1)
        state = states.map_state(Tensor.double, problem.network.initial_state(4))
        return wrapped.loss(problem.network, chunk, state)[0]

    vectors = tuple(p for p in problem.network.parameters() if p.dim() == 1)
    assert torch.autograd.gradcheck(loss, vectors)


def test_fit_in_less_memory(small_task: Forecast, make_frame: Callable[..., pl.DataFrame]) -> None:
    config = TrainConfig(steps=3, batch_size=4, validate_every=0, learning_rate=0.02, threads=1)
    weights, losses = [], []
    for memory in (0, "40 steps", "1 MB"):
        train = replace(config, memory=memory)
        model = fit(small_task, make_frame(), hidden_size=4, dropout=0.0, train=train, progress=False)
        weights.append(torch.cat([p.flatten() for p in model.forecaster.networks[0].parameters()]))
        losses.append(model.training["loss"])
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-4)
    for other in weights[1:]:  # Adam's step of a gradient that is nearly zero has the sign of its rounding
        near = (other - weights[0]).abs() < 2e-5
        assert near.float().mean() > 0.97
    assert not torch.equal(weights[1], weights[0])  # it did go another way


def test_a_memory_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        TrainConfig(memory="much")
    want = "want a size such as '50 MB', a share up to 1, or '128 steps'."
    assert str(error.value) == f"memory: got 'much', {want}"
