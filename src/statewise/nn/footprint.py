"""What a walk back through some steps costs in memory, measured."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from statewise import state as states
from statewise.nn.recompute import draws_apart, hold
from statewise.state import State

_STEPS = 16  # of the shorter trial


def step_bytes(trial: Callable[[int], None], time: int, besides: Iterable[Tensor]) -> tuple[int, int]:
    """Bytes at the peak of `trial(steps)`, forwards and back: a fixed part, and those of each step.

    Two short trials say so: what grows with the steps is theirs. Tensors `besides`, which are there anyway,
    are not counted; nor is memory that a compiled operation takes and gives back within one call. The random
    state is left as it was.
    """
    there = list(besides)
    short = max(min(_STEPS, time // 2), 1)
    peaks = []
    with torch.random.fork_rng():
        for steps in (short, short, 2 * short):  # the first call may fill caches that stay
            with torch.enable_grad(), _Live(there) as live:
                trial(min(steps, time))
            peaks.append(live.peak)
    step = max(peaks[2] - peaks[1], 0) // short
    return max(peaks[1] - short * step, 0), step


def state_bytes(step: Callable[[], State], state: State, time: int, training: bool) -> int:
    """Bytes of a kept state, its random state in training included; of one that grows, at the end of `time`.

    `step()` gives the state after one step from `state`.
    """
    with torch.no_grad(), draws_apart(state):
        after = step()
    before = states.size_in_bytes(state)
    held = before + states.size_in_bytes(hold(state, training).draws)
    return held + time * max(states.size_in_bytes(after) - before, 0)


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors made inside it that are still alive."""

    def __init__(self, there: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen: dict[int, weakref.ref[Any]] = {}
        self.now = self.peak = 0
        for tensor in there:
            self._count(tensor.untyped_storage())
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._seen:
            return
        self._seen[key] = weakref.ref(storage, lambda _: self._gone(key, size))
        self.now += size
        self.peak = max(self.peak, self.now)

    def _gone(self, key: int, size: int) -> None:
        self._seen.pop(key)
        self.now -= size
