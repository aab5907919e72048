"""Going through some steps again: from a kept state, with the same draws, now keeping what gradients need."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from statewise import state as states
from statewise.recurrence import Input
from statewise.state import State


class Held:
    """A state, and the states of the random generators from which its run began."""

    __slots__ = ("__weakref__", "draws", "state")

    def __init__(self, state: State, draws: tuple[Tensor, ...]) -> None:
        self.state = state
        self.draws = draws  # of the processor, then of each GPU; none where nothing is drawn


class Shelf:
    """Room for kept states, taken at once and used again.

    Small copies made between the large tensors of the runs would lie among them, so that the C library could
    neither use their place for the next run nor give it back.
    """

    def __init__(self, room: int, training: bool) -> None:
        self.room, self.training = room, training
        self._free: list[list[Tensor]] | None = None

    def hold(self, state: State) -> Held:
        """A copy of the state, which may be a view of outputs that are not to be kept."""
        count = len(states.tensors(state))
        draws = [read() for read, _ in _generators(state)] if self.training else []
        parts = [*(leaf.detach() for leaf in states.tensors(state)), *draws]
        if self._free is None:
            self._free = [[torch.empty_like(part) for part in parts] for _ in range(self.room)]
        place = self._free.pop() if self._free else []
        if [room.shape for room in place] != [part.shape for part in parts]:  # full, or the state has grown
            parts = [part.clone() for part in parts]
            return Held(states.from_tensors(state, parts[:count]), tuple(parts[count:]))
        for room, part in zip(place, parts, strict=True):
            room.copy_(part)
        held = Held(states.from_tensors(state, place[:count]), tuple(place[count:]))
        weakref.finalize(held, self._free.append, place).atexit = False
        return held


class Piece(NamedTuple):
    """Some steps with everything their gradient needs."""

    leaves: list[Tensor]  # inputs and state before, cut off from what made them
    outputs: list[Tensor]  # what came out, and the state after


def slice_time(x: Input, start: int, stop: int) -> Input:
    """Steps `start` to `stop` of every part of a sequence."""
    return states.map_state(lambda part: part[:, start:stop], x)


def hold(state: State, training: bool) -> Held:
    """A copy of the state by itself."""
    return Shelf(1, training).hold(state)


def resume(held: Held) -> State:
    """The held state, the random generators set as they were then."""
    if held.draws:
        for (_, write), draws in zip(_generators(held.state), held.draws, strict=True):
            write(draws)
    return held.state


@contextmanager
def draws_apart(state: State) -> Iterator[None]:
    """Inside, random generators may be set at will; afterwards they are as before."""
    before = Held(state, tuple(read() for read, _ in _generators(state)))
    try:
        yield
    finally:
        resume(before)


def record(
    run: Callable[[Input, State], tuple[State, State]], x: Input, state: State, wanted: Sequence[bool]
) -> Piece:
    """`run(x, state)` with a graph of its own; `wanted` says which tensors of x need a gradient."""
    x_leaves = [
        part.detach().requires_grad_(want) for part, want in zip(states.tensors(x), wanted, strict=True)
    ]
    s_leaves = [leaf.detach().requires_grad_(differentiable(leaf)) for leaf in states.tensors(state)]
    with torch.enable_grad():
        y, after = run(states.from_tensors(x, x_leaves), states.from_tensors(state, s_leaves))
    return Piece([*x_leaves, *s_leaves], [*states.tensors(y), *states.tensors(after)])


def pull(
    piece: Piece, gradients: Sequence[Tensor | None], weights: Sequence[Tensor]
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Gradients of the piece's leaves and of `weights`, from those of its outputs; the piece is used up."""
    pairs = [
        (part, gradient)
        for part, gradient in zip(piece.outputs, gradients, strict=True)
        if gradient is not None and part.requires_grad
    ]
    asked = [leaf for leaf in piece.leaves if leaf.requires_grad]
    if not pairs:
        return [None] * len(piece.leaves), [None] * len(weights)
    outputs, given = zip(*pairs, strict=True)
    found = torch.autograd.grad(outputs, [*asked, *weights], given, allow_unused=True)
    of_leaves = iter(found[: len(asked)])
    return [next(of_leaves) if leaf.requires_grad else None for leaf in piece.leaves], list(
        found[len(asked) :]
    )


def add_to(sums: list[Tensor | None], parts: Sequence[Tensor | None]) -> None:
    """Add gradients, of which some may be missing, to `sums` in place."""
    for i, part in enumerate(parts):
        if part is not None:
            held = sums[i]
            sums[i] = part.clone() if held is None else held.add_(part)


def differentiable(leaf: Tensor) -> bool:
    """Whether a tensor can have a gradient."""
    return leaf.is_floating_point() or leaf.is_complex()


def _generators(state: State) -> list[tuple[Callable[[], Tensor], Callable[[Tensor], None]]]:
    """How to read and set the random generators of the processor and of the GPUs that `state` lies on."""
    devices = sorted({leaf.device for leaf in states.tensors(state) if leaf.is_cuda}, key=str)
    gpus = [
        (partial(torch.cuda.get_rng_state, device), partial(torch.cuda.set_rng_state, device=device))
        for device in devices
    ]
    return [(torch.get_rng_state, torch.set_rng_state), *gpus]
