"""Item 6 of the law: gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from statewise import state as states
from statewise.recurrence import Input
from statewise.state import State
from statewise.testing.case import Case, padded, poison, row_of, run_chunks, run_steps, span, uneven

VALUE = "the outputs with a gradient"


def check_gradients(case: Case) -> None:
    """Item 6: by parameter and input, over whole, steps, chunks, and rows padded with NaN."""
    x, lengths = case.draw(), uneven(case)
    spoiled = padded(case, x, lengths, poison)
    half = [case.time // 2]
    whole = _gradients(case, x, lambda x, state: case.module(x, state))
    if all(gradient is None for name, gradient in whole.items() if name != VALUE):
        raise case.fail(6, "no gradient reaches any parameter or input")
    steps = _gradients(case, x, lambda x, state: run_steps(case, x, state))
    _compare_gradients(case, "steps and whole", steps, whole)
    chunks = _gradients(case, x, lambda x, state: run_chunks(case, x, state, half))
    _compare_gradients(case, f"chunks (cut at {half}) and whole", chunks, whole)
    clean = _gradients(case, x, lambda x, state: case.module(x, state, lengths), lengths)
    poisoned = _gradients(case, spoiled, lambda x, state: case.module(x, state, lengths), lengths)
    _compare_gradients(case, "a sequence padded with NaN and with numbers", poisoned, clean)
    alone = _gradients(case, x, lambda x, state: _run_alone(case, x, state, lengths), lengths)
    _compare_gradients(case, "padded rows and rows alone", clean, alone)


def _run_alone(case: Case, x: Input, state: State, lengths: Tensor) -> tuple[State, State]:
    """Every row by itself, cut to its length, its outputs padded with zeros again."""
    outputs, finals = [], []
    for row, length in enumerate(lengths.tolist()):
        y, final = case.module(span(row_of(x, row), 0, length), row_of(state, row))
        missing = case.time - length
        outputs.append(states.map_state(lambda part, n=missing: _pad(part, n), y))
        finals.append(final)
    return states.concat(outputs), states.concat(finals)


def _pad(part: Tensor, missing: int) -> Tensor:
    return torch.cat((part, part.new_zeros(part.shape[0], missing, *part.shape[2:])), dim=1)


def _gradients(
    case: Case,
    x: Input,
    run: Callable[[Input, State], tuple[State, State]],
    lengths: Tensor | None = None,
) -> dict[str, Tensor | None]:
    """Of one fixed random weighing of outputs and final state, by the name of the parameter or input.

    The weighed value itself stands under VALUE: a module may take another path when gradients are kept.
    """
    torch.manual_seed(case.seed)  # the same draws in initial_state, the same weighing
    leaves: dict[str, Tensor] = dict(case.module.named_parameters())
    leaves = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    x = states.map_state(lambda part: part.clone().requires_grad_(part.is_floating_point()), x)
    leaves |= {f"x.{name}": part for name, part in states.named(x).items() if part.requires_grad}
    state = case.module.initial_state(case.batch)
    torch.manual_seed(case.seed)
    weighed = [
        (part * torch.randn(part.shape, dtype=part.dtype)).sum()
        for value in run(x, state)
        for part in states.tensors(value)
        if part.is_floating_point()
    ]
    total = torch.stack(weighed).sum()
    found = dict.fromkeys(leaves) | {VALUE: total.detach()}
    if not total.requires_grad or not leaves:
        return found
    gradients = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    return found | dict(zip(leaves, gradients, strict=True))


def _compare_gradients(
    case: Case, what: str, got: dict[str, Tensor | None], want: dict[str, Tensor | None]
) -> None:
    largest = max((float(g.abs().max()) for g in want.values() if g is not None and g.numel()), default=1.0)
    for name, gradient in want.items():
        other = got[name]
        if gradient is not None or other is not None:
            a, b = _or_zero(other, gradient), _or_zero(gradient, other)
            case.equal(6, f"{name}, {what}", a, b, scale=max(1.0, largest))


def _or_zero(gradient: Tensor | None, like: Tensor | None) -> Tensor:
    """A parameter that was not used has the gradient zero."""
    if gradient is not None:
        return gradient
    assert like is not None
    return torch.zeros_like(like)
