"""What every check of the law shares: the module, its inputs, ways to run it, and the words of a failure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from statewise import state as states
from statewise.core.errors import LawError
from statewise.recurrence import Input, Recurrence
from statewise.state import State
from statewise.testing.compare import difference, fields, signature

LAW = {
    1: "the state keeps its structure, shapes and dtypes",
    2: "steps equal the whole and change nothing in place",
    3: "any cut",
    4: "padding changes nothing",
    5: "rows are independent",
    6: "gradients of whole, steps and chunks agree",
}


class Start(NamedTuple):
    """A state to begin from: fresh, or after some steps, so that no part of it is zero by chance.

    In a warm state every row has seen another number of steps, as in a server's batch.
    """

    name: str
    state: State


@dataclass(frozen=True)
class Case:
    """One module under test, with the inputs it takes and the words in which it fails."""

    name: str
    module: Recurrence
    make_input: Callable[[int, int], Input]
    dtype: torch.dtype
    batch: int
    time: int
    tolerance: float
    seed: int

    def draw(self, time: int | None = None, batch: int | None = None) -> Input:
        """A fresh input [batch, time, ...], floating parts in the dtype of the case."""
        x = self.make_input(self.batch if batch is None else batch, self.time if time is None else time)
        return states.map_state(lambda part: part.to(self.dtype) if part.is_floating_point() else part, x)

    def fail(self, item: int, text: str) -> LawError:
        """The error that names the module and the item of the law."""
        return LawError(f"{self.name} breaks law {item} ({LAW[item]}): {text}.")

    def equal(self, item: int, what: str, got: State, want: State, scale: float = 1.0) -> None:
        """Raise LawError unless `got` equals `want`, leaf by leaf, within the tolerance times `scale`."""
        if signature(got) != signature(want):
            raise self.fail(item, f"{what}: got {fields(got)}, want {fields(want)}")
        got, want = states.align(got, want)
        for leaf, (a, b) in enumerate(zip(states.tensors(got), states.tensors(want), strict=True)):
            largest, where = difference(a, b)
            if not largest <= self.tolerance * scale:
                part = "" if isinstance(got, Tensor) else f" of {list(states.named(got))[leaf]}"
                bound = f"want at most {self.tolerance:g}"
                raise self.fail(item, f"{what}: largest difference {largest:.3g} at {where}{part}, {bound}")

    @contextmanager
    def works(self, item: int, what: str) -> Iterator[None]:
        """Turn an error of the module on an edge case into a LawError that names the case."""
        try:
            yield
        except LawError:
            raise
        except Exception as error:
            raise self.fail(item, f"{what} raises {type(error).__name__}: {error}") from error

    def unchanged(self, item: int, what: str, value: State, copy: State, how: str = " in place") -> None:
        """Raise LawError unless `value` still is what `copy` was, bit by bit."""
        value, copy = states.align(value, copy)
        for (name, now), was in zip(states.named(value).items(), states.tensors(copy), strict=True):
            if difference(now, was)[0] != 0.0:
                raise self.fail(item, f"{what}{how} ({name})")


def starts(case: Case) -> list[Start]:
    """The states to begin from."""
    fresh = case.module.initial_state(case.batch)
    ages = case.time - torch.arange(case.batch) % case.time
    _, warm = case.module(case.draw(), fresh, ages)
    return [Start("a fresh state", fresh), Start("a warm state", warm)]


def span(x: Input, start: int, stop: int | None = None) -> Input:
    """Steps `start` to `stop` of a sequence."""
    return states.map_state(lambda part: part[:, start:stop], x)


def at(x: Input, t: int) -> Input:
    """Step `t` of a sequence."""
    return states.map_state(lambda part: part[:, t], x)


def row_of(value: State, row: int) -> State:
    """One row, as a batch of one."""
    return states.map_state(lambda part: part[row : row + 1], value)


def copy_of(value: State) -> State:
    """A copy with memory of its own."""
    return states.map_state(torch.clone, value)


def run_steps(case: Case, x: Input, state: State) -> tuple[State, State]:
    """The sequence by repeated `step`."""
    outputs = []
    for t in range(states.tensors(x)[0].shape[1]):
        y, state = case.module.step(at(x, t), state)
        outputs.append(y)
    return states.map_state(lambda *parts: torch.stack(parts, dim=1), *outputs), state


def run_chunks(
    case: Case, x: Input, state: State, cuts: list[int], lengths: Tensor | None = None
) -> tuple[State, State]:
    """The sequence by `forward` over its pieces between `cuts`, the state handed over."""
    outputs = []
    edges = [0, *cuts, states.tensors(x)[0].shape[1]]
    for start, stop in itertools.pairwise(edges):
        real = None if lengths is None else (lengths - start).clamp(0, stop - start)
        y, state = case.module(span(x, start, stop), state, real)
        outputs.append(y)
    return states.map_state(lambda *parts: torch.cat(parts, dim=1), *outputs), state


def poison(part: Tensor) -> Tensor:
    """NaN of the same shape; what cannot be NaN stays."""
    return torch.full_like(part, float("nan")) if part.is_floating_point() else part


def uneven(case: Case) -> Tensor:
    """Lengths [B]: a full row, an empty one, one of a single step, others between."""
    return torch.tensor([case.time, 0, 1] + [2 + row % (case.time - 2) for row in range(case.batch - 3)])


def padded(case: Case, x: Input, lengths: Tensor, poison: Callable[[Tensor], Tensor]) -> Input:
    """`x` with a fresh draw, passed through `poison`, after each row's length."""

    def fill(part: Tensor, other: Tensor) -> Tensor:
        real = torch.arange(case.time) < lengths.unsqueeze(1)
        return torch.where(real.view(*real.shape, *([1] * (part.dim() - 2))), part, poison(other))

    return states.map_state(fill, x, case.draw())
