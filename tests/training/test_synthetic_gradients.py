"""Synthetic gradients: exact where they can be checked, learned where they must be, off at the start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from statewise import state as states
from statewise.data.chunks import Chunk
from statewise.state import State
from statewise.training import TrainConfig, train
from statewise.training.synthetic_gradients import Decoupled, GradientPredictor

CONFIG = TrainConfig(steps=6, learning_rate=0.02, validate_every=0, threads=1)


def chunks(problem: Any) -> list[Chunk]:
    """The first batch of lanes, cut."""
    import numpy as np

    found: list[Chunk] = []
    for chunk in problem.epoch(np.random.default_rng(0)):
        if chunk.fresh and found:
            break
        found.append(chunk)
    return found


def test_untrained_it_is_truncated_backpropagation(Toy: Any) -> None:
    plain, problem = Toy(dropout=0.0), Toy(dropout=0.0)
    decoupled = Decoupled(problem)
    chunk = chunks(plain)[0]
    loss, _ = plain.loss(plain.network, chunk, plain.network.initial_state(4))
    loss.backward()
    found, _ = decoupled.loss(decoupled.network, chunk, problem.network.initial_state(4))
    found.backward()
    assert found.item() == pytest.approx(loss.item(), rel=1e-6)
    for a, b in zip(plain.network.parameters(), problem.network.parameters(), strict=True):
        if b.grad is not None:  # the first state itself is cut off from what made it
            torch.testing.assert_close(a.grad, b.grad)


def test_a_right_prediction_gives_the_gradient_of_the_whole(Toy: Any) -> None:
    """Hand the true gradient of the later loss to the earlier chunk: the weights get that of both."""
    problem = Toy(dropout=0.0)
    first, second = chunks(problem)[:2]
    network = problem.network
    weights = [weight for name, weight in network.named_parameters() if name != "start"]
    before = network.initial_state(4)
    loss, middle = problem.loss(network, first, before)
    later, _ = problem.loss(network, second, middle)
    want = torch.autograd.grad(loss + later, weights)

    border = states.map_state(lambda leaf: leaf.detach().requires_grad_(), middle)
    later, _ = problem.loss(network, second, border)
    true = torch.autograd.grad(later, [*states.tensors(border), *weights], allow_unused=True)
    decoupled = Decoupled(problem, discount=1.0)
    given = [torch.zeros_like(leaf) if g is None else 4 * g for leaf, g in zip(middle, true, strict=False)]
    decoupled.network.predictor.forward = lambda state: given  # type: ignore[method-assign]
    found, _ = decoupled.loss(decoupled.network, first, before)
    got = torch.autograd.grad(found, weights)
    for a, b, c in zip(got, true[2:], want, strict=True):
        torch.testing.assert_close(a + b, c, atol=1e-6, rtol=1e-5)


def test_the_predictor_learns_what_arrives(Toy: Any) -> None:
    """Only the predictor is trained, always on one chunk: it ends at the gradient of that chunk's loss."""
    problem = Toy(dropout=0.0)
    chunk, state = chunks(problem)[-1], problem.network.initial_state(4)
    decoupled = Decoupled(problem, discount=0.0)
    leaf = state.hidden.detach().requires_grad_()
    loss, _ = problem.loss(problem.network, chunk, state._replace(hidden=leaf))
    (want,) = torch.autograd.grad(loss, leaf)
    optimizer = torch.optim.Adam(decoupled.network.predictor.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        decoupled.loss(decoupled.network, chunk, state)[0].backward()
        optimizer.step()
    got = decoupled.network.predictor(state)[0]
    # One state, four rows: the best answer is the mean of the four rows' gradients.
    torch.testing.assert_close(got, 4 * want.mean(dim=0, keepdim=True).expand_as(got), atol=0.02, rtol=0)


def test_nothing_is_answered_for_where_the_lanes_end(Toy: Any) -> None:
    problem = Toy(dropout=0.0)
    decoupled = Decoupled(problem)
    torch.nn.init.ones_(decoupled.network.predictor.body[2].bias)
    weight = problem.network.gates.weight
    for chunk in chunks(problem)[-2:]:
        state = problem.network.initial_state(4)
        found, _ = decoupled.loss(decoupled.network, chunk, state)
        plain, _ = problem.loss(problem.network, chunk, state)
        same = torch.allclose(*(torch.autograd.grad(loss, weight)[0] for loss in (found, plain)))
        assert same == chunk.last


def test_it_trains_in_the_loop(Toy: Any) -> None:
    decoupled = Decoupled(Toy(dropout=0.0))
    losses = [progress.loss for progress in train(decoupled, replace(CONFIG, steps=200))]
    assert sum(losses[-6:]) < 0.7 * sum(losses[:6])


def test_whole_numbers_are_left_alone() -> None:
    state = (torch.randn(3, 4), torch.zeros(3, dtype=torch.long))
    predictions = GradientPredictor(state)(state)
    assert [tuple(part.shape) for part in predictions] == [(3, 4), (3, 0)]


def test_state_handed_on_is_the_networks(Toy: Any) -> None:
    problem = Toy(dropout=0.0)
    decoupled = Decoupled(problem)
    chunk, before = chunks(problem)[0], problem.network.initial_state(4)
    _, want = problem.loss(problem.network, chunk, before)
    _, got = decoupled.loss(decoupled.network, chunk, before)

    def same(a: Tensor, b: Tensor) -> Tensor:
        torch.testing.assert_close(a.detach(), b.detach())
        return a

    state: State = states.map_state(same, got, want)
    assert type(state) is type(want)
