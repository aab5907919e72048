"""Why a loss or gradient is not finite, found by replaying the step with suspects made harmless."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from statewise import state as states
from statewise.core.errors import StatewiseError
from statewise.data.chunks import Chunk
from statewise.state import State
from statewise.training.problem import Network, Problem
from statewise.training.run import Run

MOST_CHANNELS = 64  # replays spent on finding the channel


def explain_non_finite(problem: Problem[Network], run: Run, chunk: Chunk, before: State, loss: float) -> str:
    """One line: the step, the culprit (weight, input, target, state, gradient) and the remedy.

    `before` is the state before the chunk; the gradients of the failed step still stand on the parameters.
    NaN in an input is no culprit in itself (it may mark a missing value): only if the step works without it.
    """
    counters = run.counters
    what = f"the loss is {loss}" if loss - loss != 0 else f"the gradient is not finite (loss {loss:.4g})"
    where = f"step {counters.step + 1} (epoch {counters.epoch}, chunk {counters.chunk - 1}): {what}."
    weight = non_finite_weight(run.network)
    if weight:
        return f"{where} Culprit: {weight}. Start from finite weights, or lower learning_rate."
    gradient = _non_finite_gradient(run)
    before = states.detach(before)  # the failed step used up the graph of a learned first state
    data = _culprit_in_data(problem, run, chunk, before)
    if data:
        return f"{where} Culprit: {data}. Remove or mask such values before training."
    for path, tensor in states.named(before).items():
        if position := _first(tensor):
            return (
                f"{where} Culprit: carried state {path}, row {position[0]}: {tensor[position]:g}. "
                "Lower learning_rate or shorten chunk_length."
            )
    remedy = "use precision float32" if run.config.precision != "float32" else "lower learning_rate"
    if loss - loss != 0:
        return f"{where} Culprit: the loss itself, with finite inputs, weights and state; {remedy}."
    return f"{where} Culprit: {gradient}; {remedy}, or shorten chunk_length."


def non_finite_weight(network: nn.Module) -> str:
    """Text "weight gate.bias[3] is nan" for the first weight that is not finite; empty when all are."""
    for name, parameter in network.named_parameters():
        if position := _first(parameter):
            return f"weight {name}{list(position)} is {parameter[position]:g}"
    return ""


def _non_finite_gradient(run: Run) -> str:
    for name, parameter in zip(run.names, run.parameters, strict=True):
        if parameter.grad is not None and (position := _first(parameter.grad)):
            return f"gradient of {name}{list(position)} is {parameter.grad[position]:g}"
    return "the gradient's norm overflows"


def _culprit_in_data(problem: Problem[Network], run: Run, chunk: Chunk, before: State) -> str:
    """Text "inputs.1, channel 3, row 5, step 7: inf" when the step works without it; else empty."""
    inputs, target, weight = states.map_state(_clean, tuple(chunk[:3]))
    cleaned = Chunk(inputs, target, weight, chunk.fresh)
    for names in (("inputs",), ("target",), ("weight",), ("inputs", "target", "weight")):
        repaired = chunk._replace(**{name: getattr(cleaned, name) for name in names})
        if _works(problem, run, repaired, before):
            for part, path, channel in _suspects(chunk, names):
                only = _with_channel(cleaned, chunk, part, path, channel)
                if not _works(problem, run, only, before):
                    return _describe(chunk, part, path, channel)
    return ""


def _works(problem: Problem[Network], run: Run, chunk: Chunk, before: State) -> bool:
    """Whether this step, with the same random numbers, has a finite loss and gradient."""
    random = run.random.state
    run.optimizer.zero_grad()
    try:
        with run.random, run.precision():
            loss, _ = problem.loss(problem.network, chunk, before)
            loss.backward()  # type: ignore[no-untyped-call]
    except (StatewiseError, RuntimeError):
        return False
    finally:
        run.random.state = random
    return bool(loss.isfinite()) and all(p.grad is None or not _first(p.grad) for p in run.parameters)


def _suspects(chunk: Chunk, parts: tuple[str, ...]) -> Iterator[tuple[str, str, int]]:
    """Part, leaf path and channel (trailing axes flattened) of non-finite data; infinities first."""
    found = []
    for part in parts:
        for path, tensor in states.named(getattr(chunk, part)).items():
            if tensor.is_floating_point() and tensor.numel():
                flat = tensor.reshape(*tensor.shape[:2], -1)
                for channel in (~flat.isfinite()).any(dim=(0, 1)).nonzero().flatten().tolist():
                    infinite = bool(flat[..., channel].isinf().any())
                    found.append((not infinite, part, path, channel))
    found.sort()
    yield from [(part, path, channel) for _, part, path, channel in found[:MOST_CHANNELS]]


def _with_channel(cleaned: Chunk, chunk: Chunk, part: str, path: str, channel: int) -> Chunk:
    """The cleaned chunk with one channel as it was."""
    leaves = dict(states.named(getattr(cleaned, part)))
    flat = leaves[path].reshape(*leaves[path].shape[:2], -1).clone()
    original = states.named(getattr(chunk, part))[path]
    flat[..., channel] = original.reshape(*original.shape[:2], -1)[..., channel]
    leaves[path] = flat.reshape(original.shape)
    changed: dict[str, Any] = {part: states.from_named(getattr(chunk, part), leaves)}
    return cleaned._replace(**changed)


def _describe(chunk: Chunk, part: str, path: str, channel: int) -> str:
    tensor = states.named(getattr(chunk, part))[path]
    column = tensor.reshape(*tensor.shape[:2], -1)[..., channel]
    position = _first(column)
    assert position is not None
    name = part if path == "state" else f"{part}.{path}"
    at = f", channel {channel}" if tensor.dim() > 2 else ""
    return f"{name}{at}, row {position[0]}, position {position[1]} of the chunk: {column[position]:g}"


def _first(tensor: Tensor) -> tuple[int, ...] | None:
    """Index of the first entry that is not finite, infinities before NaN; None when there is none."""
    if not tensor.is_floating_point() or bool(tensor.isfinite().all()):
        return None
    bad = tensor.isinf() if bool(tensor.isinf().any()) else tensor.isnan()
    return tuple(bad.nonzero()[0].tolist())


def _clean(tensor: Tensor) -> Tensor:
    return torch.nan_to_num(tensor, nan=0.0, posinf=0.0, neginf=0.0) if tensor.is_floating_point() else tensor
