"""The training loop: a generator of progress that one stops by leaving the `for`."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import torch

from statewise import state as states
from statewise.core.errors import TrainingError
from statewise.data.chunks import Chunk, to_device
from statewise.state import State
from statewise.training import optimizer as optimizers
from statewise.training.checkpoint import Saver
from statewise.training.config import TrainConfig
from statewise.training.diagnose import explain_non_finite, non_finite_weight
from statewise.training.order import chunks, state_before, step_limit
from statewise.training.problem import Network, Problem
from statewise.training.run import Run
from statewise.training.schedule import SCHEDULES, done_share
from statewise.training.threads import choose_threads


@dataclass(frozen=True)
class Progress:
    """What one optimiser step did; losses are the problem's own units."""

    step: int  # counted from 1
    epoch: int  # counted from 0
    loss: float
    grad_norm: float  # before clipping
    clipped_fraction: float  # of all steps so far
    learning_rate: float
    validation: float | None  # of this step, when it was validated
    best: float | None  # lowest validation so far
    elapsed: float  # seconds, earlier parts of a resumed run included
    done: float  # finished share of the run, 0 to 1
    stopped: str  # "" while the run goes on, else its end: "steps", "time_budget" or "patience"


def train(
    problem: Problem[Network], config: TrainConfig, checkpoint: str | Path | None = None
) -> Generator[Progress, None, None]:
    """Train `problem.network` in place, one Progress per optimiser step; leave the `for` at any time.

    However it ends (a limit, `break`, an error), the network is left in eval mode with the best validated
    weights, or with the last ones when none were validated yet. (A generator that is kept in a variable ends
    with its `close()`.)

    With `checkpoint`, a path, the run is saved there every `config.checkpoint_every`, when left and at the
    end; the same call on an existing file continues it. Two runs with one seed and limits in steps give equal
    weights on one machine, stopped and resumed or not; with a time budget the rate follows the clock. On the
    checkpoint of a finished run the call yields nothing and hands back the best weights.

    The caller's torch random state is untouched, the thread count is put back at the end.
    Raises TrainingError for a non-finite loss, gradient or validation, naming the culprit; ConfigError for a
    checkpoint of another config; BundleError for a damaged one.
    """
    run = Run(problem.network, config)
    saver = Saver(run, checkpoint)
    threads = torch.get_num_threads()
    try:
        saver.resume()
        run.network.train()
        yield from _steps(problem, run, saver)
    finally:
        torch.set_num_threads(threads)
        run.settle()


def _steps(problem: Problem[Network], run: Run, saver: Saver) -> Generator[Progress, None, None]:
    config, counters = run.config, run.counters
    if counters.step == 0:
        counters.steps = step_limit(problem, run)
    if counters.threads is not None:
        torch.set_num_threads(counters.threads)
    started = monotonic() - counters.elapsed
    stream = chunks(problem, run)
    while not counters.stopped:
        done = done_share(counters.step, counters.steps or math.inf, counters.elapsed, config.budget)
        learning_rate = config.learning_rate * SCHEDULES[config.schedule](done)
        with run.random:
            chunk = next(stream)
        loss, norm = _update(problem, run, chunk, learning_rate)
        counters.elapsed = monotonic() - started
        counters.stopped = _limit(run)
        validation = None
        if config.validate_every and (counters.stopped or counters.step % config.validate_every == 0):
            validation = _validate(problem, run)
            counters.validation_seconds = monotonic() - started - counters.elapsed
            counters.elapsed += counters.validation_seconds
            if config.patience and counters.waited >= config.patience:
                counters.stopped = counters.stopped or "patience"
        saver.save_if_due()
        try:
            yield _progress(run, loss, norm, learning_rate, validation)
        except BaseException:  # left here, between two steps, so everything fits together
            saver.save()
            raise


def _update(problem: Problem[Network], run: Run, chunk: Chunk, learning_rate: float) -> tuple[float, float]:
    """One optimiser step on one chunk; gives its loss and its gradient norm before clipping."""
    if run.counters.threads is None:
        run.counters.threads = choose_threads(run.config.threads, run.parameters, chunk)
        torch.set_num_threads(run.counters.threads)
    if chunk.weight.device != run.device:
        chunk = to_device(chunk, run.device)
    with run.random:
        before = state_before(run, chunk)
    random = run.random.state
    with run.random:
        loss, norm, after = _backward(problem, run, chunk, before)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        run.random.state = random  # the diagnosis replays this very step
        raise TrainingError(explain_non_finite(problem, run, chunk, before, loss))
    counters = run.counters
    counters.clipped += optimizers.clip(optimizers.gradients(run.parameters), norm, run.config.gradient_clip)
    optimizers.set_learning_rate(run.optimizer, learning_rate)
    run.optimizer.step()
    run.carried = after
    counters.step += 1
    if run.average is not None:
        run.average.update(counters.step)
    return loss, norm


def _backward(problem: Problem[Network], run: Run, chunk: Chunk, before: State) -> tuple[float, float, State]:
    """Loss, gradient norm and detached state after the chunk; gradients are left on the parameters."""
    run.optimizer.zero_grad()
    with run.precision():
        loss, after = problem.loss(problem.network, chunk, before)
    if not loss.requires_grad:
        raise TrainingError(f"step {run.counters.step + 1}: the loss has no gradient; use the network in it.")
    loss.backward()  # type: ignore[no-untyped-call]
    norm = optimizers.global_norm(optimizers.gradients(run.parameters))
    # The state keeps the dtype it began with: under bfloat16 its parts come out shortened.
    after = states.map_state(lambda new, old: new.detach().to(old.dtype), after, before)
    return loss.item(), norm.item(), after


def _validate(problem: Problem[Network], run: Run) -> float:
    """Score the weights that would be kept now, and keep them if they are the best so far."""
    run.network.eval()
    if run.average is not None:
        run.average.validated()
    try:
        with run.random, run.averaged(), torch.no_grad():
            validation = float(problem.validate(problem.network))
            if not math.isfinite(validation):
                weight = non_finite_weight(run.network)
                raise TrainingError(_not_a_score(run.counters.step, validation, weight))
            run.keep_best(validation)
    finally:
        run.network.train()
    return validation


def _not_a_score(step: int, validation: float, weight: str) -> str:
    if weight:
        return f"step {step}: the validation is {validation}. Culprit: {weight}. Lower learning_rate."
    return f"step {step}: the validation is {validation} with finite weights. Check the validation data."


def _limit(run: Run) -> str:
    """The limit that this step reached, or empty; keeps time for the last validation within the budget."""
    counters = run.counters
    if counters.steps is not None and counters.step >= counters.steps:
        return "steps"
    reserve = counters.validation_seconds + counters.elapsed / counters.step
    return "time_budget" if counters.elapsed + reserve > run.config.budget else ""


def _progress(run: Run, loss: float, norm: float, learning_rate: float, validation: float | None) -> Progress:
    counters = run.counters
    return Progress(
        step=counters.step,
        epoch=counters.epoch,
        loss=loss,
        grad_norm=norm,
        clipped_fraction=counters.clipped / counters.step,
        learning_rate=learning_rate,
        validation=validation,
        best=counters.best,
        elapsed=counters.elapsed,
        done=done_share(counters.step, counters.steps or math.inf, counters.elapsed, run.config.budget),
        stopped=counters.stopped,
    )
