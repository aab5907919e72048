"""Steps in the compiled kernels, without torch: observations and states in arrays that the caller owns.

    stepper = Stepper(program)                # from statewise.nn.native_step.step_program, or a file
    state = stepper.initial(3)                # [3, S]: three sessions
    y, state = stepper(x, state)              # x [3, I] to y [3, O]; nothing given is changed
    stepper.step(x, state, out)               # the same without a new array: `state` is changed, `out` filled
    step = stepper.bind(x, state, out); step()    # the same without looking at the arrays again

A row's answer does not depend, bit for bit, on the rows beside it, on their number or on the threads.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from statewise.core.errors import ConfigError, ShapeError
from statewise.core.native import extension

_HEADER = struct.Struct("<2I10i")


class Stepper:
    """A step program, its weights packed for this machine once; safe to share between threads.

    All arrays are float32 in C order, one row per session: x [B, I], state [B, S], out [B, O]; a single
    session may leave out the row axis. Raises ConfigError without the compiled kernels, ShapeError for bytes
    that are no program.

    step(x, state, out, threads=1)    one step; `state` is changed in place, `out` filled. ShapeError.
    bind(x, state, out, threads=1)    a function without arguments that does this step, for arrays that stay.
    """

    def __init__(self, program: bytes) -> None:
        native = extension()
        if native is None or not hasattr(native, "Steps"):
            raise ConfigError(
                "stepper: needs the compiled kernels, which are not there: install with a C++ compiler."
            )
        self.program = program
        self._steps = native.Steps(program, ShapeError)
        self.step: Callable[..., None] = self._steps.step
        self.bind: Callable[..., Callable[[], None]] = self._steps.bind
        sizes = _HEADER.unpack_from(program)
        self.input_size, self.state_size, self.output_size = sizes[2:5]
        text = json.loads(program[-sizes[11] :])
        self.output_shape: tuple[int, ...] = tuple(text["output"])
        self.inputs = _places(text["inputs"])
        # Of each input that holds ids: how many there are, number by number.
        self.ids: dict[str, list[int]] = text.get("ids", {})
        self._counts = frozenset(text["counts"])  # int64, two words each
        self.leaves = _places(text["leaves"], self._counts)
        start = _HEADER.size + 4 * (sizes[6] + sizes[7])
        self._initial = np.frombuffer(program, np.float32, self.state_size, start)

    def initial(self, rows: int = 1) -> np.ndarray:
        """The state before the first observation, [rows, S]."""
        return np.tile(self._initial, (rows, 1))

    def __call__(self, x: np.ndarray, state: np.ndarray, threads: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """x [B, I] and state [B, S] to the output [B, O] and the next state [B, S], both new."""
        rows = x.shape[:-1]
        after = np.array(state, order="C")
        out = np.empty((*rows, self.output_size), np.float32)
        self.step(np.ascontiguousarray(x), after, out, threads)
        return out, after

    def named(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """Copies of the leaves of `state` [B, S], [B, ...] each, named as by `statewise.state.named`."""
        rows = state.reshape(math.prod(state.shape[:-1]), self.state_size)
        found = {}
        for name, (start, shape) in self.leaves.items():
            words = 2 if name in self._counts else 1
            part = rows[:, start : start + words * math.prod(shape)].copy()
            found[name] = (part.view(np.int64) if words == 2 else part).reshape(len(rows), *shape)
        return found

    def from_named(self, leaves: Mapping[str, np.ndarray]) -> np.ndarray:
        """The inverse of `named`. Raises ShapeError when names or shapes differ."""
        if set(leaves) != set(self.leaves):
            raise ShapeError(f"stepper: got the leaves {sorted(leaves)}, want {sorted(self.leaves)}.")
        rows = len(next(iter(leaves.values()))) if leaves else 0
        for name, (_, shape) in self.leaves.items():
            if leaves[name].shape != (rows, *shape):
                got, want = list(leaves[name].shape), [rows, *shape]
                raise ShapeError(f"stepper: leaf '{name}': got shape {got}, want {want}.")
        state = np.zeros((rows, self.state_size), np.float32)
        for name, (start, shape) in self.leaves.items():
            kind = np.int64 if name in self._counts else np.float32
            part = np.ascontiguousarray(leaves[name], kind).reshape(rows, math.prod(shape)).view(np.float32)
            state[:, start : start + part.shape[1]] = part
        return state


def _places(
    shapes: Mapping[str, Any], double: frozenset[str] = frozenset()
) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Where each of several tensors begins in a flat row, and its shape."""
    found: dict[str, tuple[int, tuple[int, ...]]] = {}
    place = 0
    for name, shape in shapes.items():
        found[name] = (place, tuple(shape))
        place += math.prod(shape) * (2 if name in double else 1)
    return found
