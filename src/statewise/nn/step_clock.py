"""Whole numbers that a state counts with, and the angles made from them, in a step program.

A count is an int64 of two words in the state, so that a snapshot holds the bytes that torch has; angles are
computed in double precision, since a position of some millions turns by a wrong angle in single.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from statewise.nn.step_values import Builder, Value

_COSINE, _SINE, _NUMBER, _ADVANCE = range(4)


@dataclass(frozen=True)
class Clock(Value):
    """sign · (the count at `leaf`) + ids: the numbers in `ids` are offsets here, not addresses."""

    leaf: int = 0
    sign: int = 1


@dataclass(frozen=True)
class Angle(Value):
    """(the count at `leaf` + offset) · factor, from the rows of `table` [N, 2] that `ids` names."""

    leaf: int = 0
    table: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))


def counted(b: Builder, name: str, args: Sequence[Any]) -> Any:
    """What an operation on clocks gives, or its arguments as plain values when it is a rule for those."""
    first: Any = args[0]
    second: Any = args[1] if len(args) > 1 else None
    if name in ("cos", "sin") and isinstance(first, Angle):
        return _turned(b, first, _COSINE if name == "cos" else _SINE)
    if name == "_to_copy" and isinstance(first, Angle):
        return first
    if isinstance(first, Clock) and _whole(second):
        if name in ("add", "sub"):
            return replace(first, ids=first.ids + (second if name == "add" else -second))
        if name == "rsub":
            return _from(second, first)
        if name == "mul" and isinstance(second, Tensor) and first.sign == 1:
            return _angle(first, second)
    if name == "sub" and isinstance(second, Clock) and _whole(first):
        return _from(first, second)
    if name == "mul" and isinstance(first, Clock) and isinstance(second, Tensor) and first.sign == 1:
        return _angle(first, second)
    return [number(b, one) if isinstance(one, Clock) else one for one in args]


def _whole(given: Any) -> bool:
    return isinstance(given, int) or (isinstance(given, Tensor) and not given.is_floating_point())


def _from(given: Any, clock: Clock) -> Clock:
    return replace(clock, ids=given - clock.ids, sign=-clock.sign)


def _angle(clock: Clock, factors: Tensor) -> Angle:
    shape = np.broadcast_shapes(clock.shape, tuple(factors.shape))
    offsets, factors = clock.ids.expand(shape), factors.expand(shape)
    table = np.stack([offsets.double().numpy().reshape(-1), factors.double().numpy().reshape(-1)], axis=1)
    return Angle(torch.arange(len(table)).view(offsets.shape), torch.float64, clock.leaf, table)


def _turned(b: Builder, angle: Angle, function: int) -> Value:
    rows = angle.table[angle.ids.numpy().reshape(-1)]
    return _emitted(b, function, angle.shape, angle.leaf, rows[:, 0], rows[:, 1])


def number(b: Builder, clock: Clock) -> Value:
    """The clock in single precision: exact up to 2²⁴."""
    offsets = clock.sign * clock.ids.numpy().reshape(-1)
    found = _emitted(b, _NUMBER, clock.shape, clock.leaf, offsets, np.zeros(offsets.size))
    return found if clock.sign == 1 else b.apply("neg", found)


def _emitted(
    b: Builder, function: int, shape: Sequence[int], leaf: int, offsets: np.ndarray, factors: np.ndarray
) -> Value:
    made = b.fresh(shape)
    where = [b.into.constant(offsets), b.into.constant(np.ascontiguousarray(factors).view(np.float32))]
    b.into.emit("CLOCK", function, offsets.size, int(made.ids.reshape(-1)[0]), leaf, *where)
    return made


def advance(b: Builder, clock: Clock) -> None:
    """Writes a clock that went on back to its place."""
    assert clock.sign == 1
    step = b.into.constant(clock.ids.numpy().reshape(-1))
    b.into.emit("CLOCK", _ADVANCE, 1, clock.leaf, clock.leaf, step, step)
