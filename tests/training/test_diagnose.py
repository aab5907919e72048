from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from statewise.core.errors import TrainingError
from statewise.training import TrainConfig, train

CONFIG = TrainConfig(steps=20, validate_every=1, learning_rate=0.01)


def _failure(problem: Any, config: TrainConfig = CONFIG) -> str:
    with pytest.raises(TrainingError) as error:
        list(train(problem, config))
    return str(error.value)


def _spoil(problem: Any, at: int, **changes: Any) -> None:
    """Change parts of chunk `at` of the first epoch: a part's name to what writes into its clone."""
    chunks = problem.epoch

    def epoch(rng: Any) -> Any:
        for index, chunk in enumerate(chunks(rng)):
            if index == at:
                for name, write in changes.items():
                    tensor = getattr(chunk, name).clone()
                    write(tensor)
                    chunk = chunk._replace(**{name: tensor})
            yield chunk

    problem.epoch = epoch


def test_an_infinite_input_is_found_and_the_best_weights_kept(Toy: Any) -> None:
    problem = Toy()
    _spoil(problem, 4, inputs=lambda x: x[2, 3, 1].fill_(math.inf))
    validate, seen = problem.validate, {}

    def remember(network: Any) -> float:
        score: float = validate(network)
        seen[score] = problem.bits()
        return score

    problem.validate = remember
    text = _failure(problem)
    assert text.startswith(
        "step 5 (epoch 0, chunk 4): the gradient is not finite (loss "
    )  # tanh hid the value
    assert text.endswith(
        "Culprit: inputs, channel 1, row 2, position 3 of the chunk: inf. "
        "Remove or mask such values before training."
    )
    assert problem.bits() == seen[min(seen)]


def test_a_nan_that_marks_a_missing_value_is_no_culprit(Toy: Any) -> None:
    problem = Toy()
    good = problem.loss

    def loss(network: Any, chunk: Any, state: Any) -> Any:
        inputs = chunk.inputs.clone()
        inputs[..., 0] = inputs[..., 0].nan_to_num()  # channel 0 may be missing, channel 1 may not
        return good(network, chunk._replace(inputs=inputs), state)

    problem.loss = loss

    def write(x: torch.Tensor) -> None:
        x[0, 0, 0] = x[1, 4, 1] = math.nan

    _spoil(problem, 0, inputs=write)
    assert "Culprit: inputs, channel 1, row 1, position 4 of the chunk: nan." in _failure(problem)


def test_a_first_state_with_a_used_up_graph_is_no_obstacle(Toy: Any) -> None:
    problem = Toy()
    make = problem.network.initial_state
    problem.network.initial_state = lambda batch: make(batch)._replace(
        hidden=problem.network.start.exp().expand(batch, -1)
    )
    _spoil(problem, 0, inputs=lambda x: x[0, 2, 0].fill_(math.inf))
    assert "Culprit: inputs, channel 0, row 0, position 2 of the chunk: inf." in _failure(problem)


def test_a_bad_target_is_found(Toy: Any) -> None:
    problem = Toy()
    _spoil(problem, 1, target=lambda y: y[3, 1].fill_(math.nan))
    assert _failure(problem) == (
        "step 2 (epoch 0, chunk 1): the loss is nan. "
        "Culprit: target, channel 0, row 3, position 1 of the chunk: nan. "
        "Remove or mask such values before training."
    )


def test_a_weight_is_found(Toy: Any) -> None:
    problem = Toy()
    for progress in train(problem, replace(CONFIG, validate_every=0)):
        if progress.step == 3:
            break
    with torch.no_grad():
        problem.network.gates.bias[7] = math.nan
    assert _failure(problem) == (
        "step 1 (epoch 0, chunk 0): the loss is nan. Culprit: weight gates.bias[7] is nan. "
        "Start from finite weights, or lower learning_rate."
    )


def test_a_gradient_is_found(Toy: Any) -> None:
    """The root of zero has a finite value and an infinite slope."""
    problem = Toy()
    good = problem.loss

    def loss(network: Any, chunk: Any, state: Any) -> Any:
        value, state = good(network, chunk, state)
        return value + (network.head.bias * 0).sum().sqrt(), state

    problem.loss = loss
    text = _failure(problem)
    assert text.startswith("step 1 (epoch 0, chunk 0): the gradient is not finite (loss ")
    assert text.endswith(
        "Culprit: gradient of head.bias[0] is nan; lower learning_rate, or shorten chunk_length."
    )


def test_a_loss_that_overflows_by_itself(Toy: Any) -> None:
    problem = Toy()
    good = problem.loss

    def loss(network: Any, chunk: Any, state: Any) -> Any:
        value, state = good(network, chunk, state)
        return (value + 1000).exp(), state

    problem.loss = loss
    assert _failure(problem) == (
        "step 1 (epoch 0, chunk 0): the loss is inf. "
        "Culprit: the loss itself, with finite inputs, weights and state; lower learning_rate."
    )
    assert "use precision float32." in _failure(problem, replace(CONFIG, precision="bfloat16"))


def test_a_carried_state_is_found(Toy: Any) -> None:
    problem = Toy()
    good = problem.loss

    def loss(network: Any, chunk: Any, state: Any) -> Any:
        value, state = good(network, chunk, state)
        return value, state._replace(hidden=state.hidden / torch.tensor([[1.0], [0.0], [1.0], [1.0]]))

    problem.loss = loss
    text = _failure(problem)
    assert text.startswith(
        "step 2 (epoch 0, chunk 1): the loss is nan. Culprit: carried state hidden, row 1: "
    )
    assert text.endswith("Lower learning_rate or shorten chunk_length.")


def test_a_validation_that_is_no_number(Toy: Any) -> None:
    problem = Toy()
    problem.validate = lambda network: math.nan
    assert _failure(problem) == (
        "step 1: the validation is nan with finite weights. Check the validation data."
    )
