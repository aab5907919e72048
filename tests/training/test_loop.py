from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from statewise.core.errors import ShapeError, TrainingError
from statewise.training import TrainConfig, loop, train
from statewise.training.optimizer import OPTIMIZERS

QUICK = TrainConfig(steps=20, validate_every=4, learning_rate=0.01)


def test_the_toy_is_learnt_and_progress_tells_how(Toy: Any) -> None:
    problem = Toy()
    before = problem.validate(problem.network)
    history = list(train(problem, replace(QUICK, steps=150, average=0.9)))
    assert [progress.step for progress in history] == list(range(1, 151))
    assert [progress.epoch for progress in history[:7]] == [0] * 6 + [1]
    assert [progress.done for progress in history] == [step / 150 for step in range(1, 151)]
    assert [p.step for p in history if p.validation is not None] == [*range(4, 150, 4), 150]
    assert {p.stopped for p in history[:-1]} == {""}
    assert history[-1].stopped == "steps"
    assert history[-1].best == min(p.validation for p in history if p.validation is not None) < before / 4
    assert problem.validate(problem.network) == history[-1].best
    assert not problem.network.training


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_one_seed_gives_one_result(Toy: Any, optimizer: str, precision: str) -> None:
    config = replace(QUICK, optimizer=optimizer, precision=precision, average=0.5)
    bits = []
    for seed in (0, 0, 1):
        problem = Toy()
        for _ in train(problem, replace(config, seed=seed)):
            torch.rand(3)  # a caller who draws too changes nothing
        bits.append(problem.bits())
    assert bits[0] == bits[1] != bits[2]


def test_training_leaves_the_callers_random_numbers_and_threads_alone(Toy: Any) -> None:
    torch.manual_seed(5)
    want = torch.rand(4)
    torch.manual_seed(5)
    threads = torch.get_num_threads()
    steps = train(Toy(), replace(QUICK, threads=threads + 1))
    next(steps)
    assert torch.get_num_threads() == threads + 1
    assert torch.equal(torch.rand(4), want)
    steps.close()  # type: ignore[attr-defined]
    assert torch.get_num_threads() == threads


def test_small_work_runs_on_one_thread(Toy: Any) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for _ in train(Toy(), QUICK):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_carried_state_is_that_of_the_whole_sequence(Toy: Any) -> None:
    """With a learning rate too small to matter, chunks start from states that the whole sequence passes."""
    problem = Toy(chunk_length=5, dropout=0.0)
    list(train(problem, TrainConfig(steps=6, learning_rate=1e-30, weight_decay=0)))
    given = problem.given[:6]
    assert [chunk.fresh for chunk, _ in given] == [True, False, False] * 2
    for start in (0, 3):
        inputs = torch.cat([chunk.inputs for chunk, _ in given[start : start + 3]], 1)
        state = problem.network.initial_state(4)
        for t in range(12):
            if t % 5 == 0:
                hidden, count = given[start + t // 5][1]
                assert torch.allclose(hidden, state.hidden, atol=1e-6)
                assert torch.equal(count, torch.full((4, 1), float(t)))
                assert hidden.requires_grad == (
                    t == 0
                )  # the learned start learns, the carried state is cut off
            state = problem.network.step(inputs[:, t], state)[1]


def test_truncated_equals_full_backpropagation_when_one_chunk_holds_all(Toy: Any) -> None:
    bits = []
    for length in (None, 12, 30, 5):
        problem = Toy(chunk_length=length)
        list(train(problem, QUICK))
        bits.append(problem.bits())
    assert bits[0] == bits[1] == bits[2] != bits[3]


def test_state_keeps_its_dtype_under_bfloat16(Toy: Any) -> None:
    problem = Toy()
    list(train(problem, replace(QUICK, precision="bfloat16")))
    assert {state.hidden.dtype for _, state in problem.given} == {torch.float32}


def test_leaving_early_keeps_the_best_weights(Toy: Any) -> None:
    problem = Toy()
    scores = iter([3.0, 1.0, 2.0, 4.0])
    seen: dict[float, bytes] = {}

    def validate(network: torch.nn.Module) -> float:
        assert not network.training
        assert not torch.is_grad_enabled()
        score = next(scores)
        seen[score] = problem.bits()
        return score

    problem.validate = validate
    for progress in train(problem, QUICK):
        assert problem.network.training
        if progress.step == 14:
            break
    assert problem.bits() == seen[1.0]
    assert not problem.network.training


def test_leaving_before_any_validation_keeps_the_last_weights(Toy: Any) -> None:
    problem = Toy()
    start = last = problem.bits()
    for progress in train(problem, QUICK):
        last = problem.bits()
        if progress.step == 3:
            break
    assert problem.bits() == last != start


def test_a_callers_error_keeps_the_best_weights_too(Toy: Any) -> None:
    problem = Toy()
    best = b""
    steps = train(problem, replace(QUICK, validate_every=1))
    for progress in itertools.islice(steps, 7):
        if progress.validation == progress.best:
            best = problem.bits()
    with pytest.raises(ZeroDivisionError):
        steps.throw(ZeroDivisionError)  # type: ignore[attr-defined]
    assert problem.bits() == best


def test_patience(Toy: Any) -> None:
    problem = Toy()
    problem.validate = lambda network: 1.0
    *_, last = train(problem, replace(QUICK, validate_every=2, patience=3))
    assert (last.step, last.stopped) == (8, "patience")
    *_, last = train(problem, replace(QUICK, validate_every=2, patience=0))
    assert (last.step, last.stopped) == (20, "steps")


def test_without_validation_the_last_or_averaged_weights_stay(Toy: Any) -> None:
    finals = []
    for average in (0.0, 0.9):
        problem = Toy()
        raw: list[bytes] = [
            problem.bits() for _ in train(problem, replace(QUICK, validate_every=0, average=average))
        ]
        finals.append((problem.bits(), raw[-1]))
    assert finals[0][0] == finals[0][1] == finals[1][1] != finals[1][0]


def test_average_is_the_moving_average(Toy: Any) -> None:
    problem = Toy()
    average = problem.network.head.weight.detach().clone()
    for progress in train(problem, replace(QUICK, validate_every=0, average=0.6)):
        decay = min(0.6, (1 + progress.step) / (10 + progress.step))
        average += (1 - decay) * (problem.network.head.weight.detach() - average)
    assert torch.allclose(problem.network.head.weight, average, atol=1e-6)


def test_the_mean_of_the_last_validated_weights_is_kept(Toy: Any) -> None:
    problem = Toy()
    problem.validate = lambda network: -len(seen)  # the last one is the best
    seen: list[Any] = []
    config = replace(QUICK, steps=12, validate_every=3, average_last=3)
    for progress in train(problem, config):
        if progress.validation is not None:
            seen.append(problem.network.head.weight.detach().clone())
    assert len(seen) == 4
    want = torch.stack(seen[1:]).mean(dim=0)
    assert torch.allclose(problem.network.head.weight, want, atol=1e-7)


def test_clipping_is_by_global_norm_and_its_share_is_told(Toy: Any) -> None:
    problem = Toy()
    norms, clipped = [], 0
    for progress in train(problem, replace(QUICK, gradient_clip=1.0)):
        gradients = [p.grad for p in problem.network.parameters() if p.grad is not None]
        left = math.sqrt(sum(gradient.square().sum().item() for gradient in gradients))
        norms.append(progress.grad_norm)
        assert left == pytest.approx(min(progress.grad_norm, 1.0), rel=1e-4)
        clipped += progress.grad_norm > 1.0
        assert progress.clipped_fraction == clipped / progress.step
    assert 0 < clipped < len(norms)
    assert {progress.clipped_fraction for progress in train(Toy(), replace(QUICK, gradient_clip=0))} == {0.0}


def test_epochs_are_counted_in_steps(Toy: Any) -> None:
    *_, last = train(Toy(), TrainConfig(epochs=3))
    assert (last.step, last.epoch, last.done) == (18, 2, 1.0)
    *_, last = train(Toy(), TrainConfig(epochs=3, steps=7))
    assert last.step == 7
    assert next(train(Toy(), TrainConfig())).done == 1 / 1000


class Clock:
    """Each look at the clock takes a tenth of a second."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def test_time_budget_is_kept_validation_included(Toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "monotonic", Clock())
    config = TrainConfig(time_budget="5 s", validate_every=5, patience=0)
    history = list(train(Toy(), config))
    assert history[-1].stopped == "time_budget"
    assert 4.5 < history[-1].elapsed <= 5.0
    assert history[-1].validation is not None
    rates = [progress.learning_rate for progress in history]
    assert max(rates) > 0.95 * config.learning_rate
    assert rates[-1] < 0.1 * config.learning_rate  # annealed, though nobody knew the number of steps


def test_a_real_time_budget_ends_in_time(Toy: Any) -> None:
    *_, last = train(Toy(), TrainConfig(time_budget=0.5, validate_every=20, patience=0))
    assert last.stopped == "time_budget"
    assert 0.3 < last.elapsed < 0.8


def test_a_first_chunk_must_be_fresh(Toy: Any) -> None:
    problem = Toy()
    chunks = problem.epoch
    problem.epoch = lambda rng: (chunk._replace(fresh=False) for chunk in chunks(rng))
    with pytest.raises(TrainingError) as error:
        next(train(problem, QUICK))
    assert str(error.value) == (
        "epoch 0, chunk 0: the first chunk of an epoch has no state to carry on; mark it fresh."
    )


def test_an_epochs_end_drops_the_state(Toy: Any) -> None:
    problem = Toy(chunk_length=None)
    chunks, count = problem.epoch, iter(range(9))
    problem.epoch = lambda rng: (chunk._replace(fresh=next(count) < 2) for chunk in chunks(rng))
    with pytest.raises(TrainingError, match=r"^epoch 1, chunk 0: the first chunk of an epoch has no state"):
        list(train(problem, QUICK))


def test_lanes_must_not_change_under_a_carried_state(Toy: Any) -> None:
    problem = Toy()
    chunks = problem.epoch

    def epoch(rng: Any) -> Any:
        for chunk in chunks(rng):
            yield chunk if chunk.fresh else chunk._replace(weight=chunk.weight[:3])

    problem.epoch = epoch
    with pytest.raises(ShapeError) as error:
        list(train(problem, QUICK))
    assert str(error.value) == (
        "epoch 0, chunk 1: 3 lanes, the carried state has 4; mark a chunk of new lanes fresh."
    )


def test_nothing_to_train_on_or_with_is_told(Toy: Any) -> None:
    problem = Toy()
    problem.epoch = lambda rng: iter(())
    with pytest.raises(TrainingError, match=r"^epoch 0: it has no chunks; is there data to train on\?$"):
        next(train(problem, QUICK))
    problem = Toy()
    problem.loss = lambda network, chunk, state: (torch.tensor(1.0), state)
    with pytest.raises(TrainingError, match=r"^step 1: the loss has no gradient; use the network in it\.$"):
        next(train(problem, QUICK))
    problem.network.requires_grad_(False)
    with pytest.raises(TrainingError, match=r"^network: it has no parameter to train"):
        next(train(problem, QUICK))
