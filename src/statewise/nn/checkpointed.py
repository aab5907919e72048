"""Exact backpropagation through time in a given amount of memory.

Forwards, only the states at some places are kept (`checkpoint_plan` says where); on the way back each run of
steps is gone through again from the kept state before it. That the whole equals its chunks makes this exact,
for every recurrence. Source: Gruslys et al. 2016, memory-efficient backpropagation through time.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from statewise import state as states
from statewise.nn.checkpoint_plan import Footprint, Plan, descent, walk_back
from statewise.nn.footprint import state_bytes, step_bytes
from statewise.nn.memory import kind, parse_memory
from statewise.nn.recompute import (
    Held,
    Piece,
    Shelf,
    add_to,
    differentiable,
    draws_apart,
    pull,
    record,
    resume,
    slice_time,
)
from statewise.recurrence import Input, Recurrence
from statewise.state import State


class Checkpointed(Recurrence):
    """`recurrence` with the same outputs, states and gradients, but less memory kept for the way back.

    `memory` is a size ("50 MB", or bytes), a share up to 1 of what plain backpropagation through time takes,
    or the length of the runs ("128 steps"). The memory that one state and one step take is measured at the
    first sequence of a shape. Inputs and outputs of the whole sequence, and their gradients, come on top:
    `CheckpointedLoss` is for sequences where those are too much. Takes up to one more forward pass, more
    where the memory is very small. Draws made anew at every call, as between layers, are repeated exactly.
    Differentiable once. Raises ConfigError for a memory that does not hold one step.
    """

    def __init__(self, recurrence: Recurrence, memory: str | float = 0.1) -> None:
        super().__init__()
        self.recurrence = recurrence
        self.memory = parse_memory(memory)
        self._measured: dict[object, Footprint] = {}

    def initial_state(self, batch: int) -> State:
        """The recurrence's own."""
        return self.recurrence.initial_state(batch)

    def step(self, x: Input, state: State) -> tuple[Tensor, State]:
        """The recurrence's own."""
        return self.recurrence.step(x, state)

    def forward(
        self, x: Input, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The recurrence's own."""
        parts = states.tensors(x)
        batch, time = parts[0].shape[:2]
        state = self.recurrence.initial_state(batch) if state is None else state
        given = [*parts, *states.tensors(state), *self._weights()]
        needed = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given)
        places = self.plan(x, state) if needed and batch * time else None
        if places is None or places.runs == 1:
            found: tuple[Tensor, State] = self.recurrence(x, state, lengths)
            return found
        job = _Job(self.recurrence, places, x, state, lengths)
        return job.shaped(_Exact.apply(job, *given))  # type: ignore[no-untyped-call]

    def plan(self, x: Input, state: State) -> Plan:
        """Where states are kept for a sequence `x` that starts from `state`."""
        return self.memory.plan(states.tensors(x)[0].shape[1], lambda: self._footprint(x, state))

    def _weights(self) -> list[Tensor]:
        return [weight for weight in self.recurrence.parameters() if weight.requires_grad]

    def _footprint(self, x: Input, state: State) -> Footprint:
        key = (self.training, kind(x, state))
        if key not in self._measured:
            self._measured[key] = self._measure(x, state)
        return self._measured[key]

    def _measure(self, x: Input, state: State) -> Footprint:
        parts, weights = states.tensors(x), self._weights()
        wanted = [part.requires_grad for part in parts]
        time = parts[0].shape[1]

        def trial(steps: int) -> None:
            piece = record(self.recurrence, slice_time(x, 0, steps), state, wanted)
            pull(piece, [torch.zeros_like(part) for part in piece.outputs], weights)

        there = [*parts, *states.tensors(state), *self.recurrence.parameters()]
        fixed, step = step_bytes(trial, time, there)
        held = state_bytes(lambda: self.recurrence(slice_time(x, 0, 1), state)[1], state, time, self.training)
        return Footprint(held, fixed, step)


class _Job:
    """One sequence, gone through in runs."""

    def __init__(
        self, recurrence: Recurrence, places: Plan, x: Input, state: State, lengths: Tensor | None
    ) -> None:
        self.recurrence, self.places, self.x, self.state = recurrence, places, x, state
        self.lengths, self.training = lengths, recurrence.training
        self.device = states.tensors(x)[0].device.type
        self.half = torch.is_autocast_enabled(self.device), torch.get_autocast_dtype(self.device)
        self.wanted = [part.requires_grad for part in states.tensors(x)]
        self.form: State = None  # the structure of the outputs
        self.shelf = Shelf(places.kept + 4, self.training)
        self.held: list[tuple[int, Held]] = []
        self.last: Piece | None = None  # the last run, which needs not be gone through again

    def shaped(self, made: tuple[Tensor, ...]) -> tuple[Tensor, State]:
        """Outputs and final state from their tensors."""
        count = len(states.tensors(self.form))
        return states.from_tensors(self.form, made[:count]), states.from_tensors(self.state, made[count:])

    def forwards(self) -> list[Tensor]:
        """All outputs, then the final state; keeps states along the way."""
        places, state = self.places, states.detach(self.state)
        keep = {0, *descent(0, places.runs, places.kept)}
        made: list[Tensor] = []
        for index in range(places.runs):
            if index in keep:
                self.held.append((index, self.shelf.hold(state)))
            if index < places.runs - 1:
                y, state = self._run(index, state)
            else:
                self.last = self._record(index, state)
                count = len(self.last.outputs) - len(states.tensors(state))
                y = states.from_tensors(self.form, self.last.outputs[:count])
                state = states.from_tensors(state, self.last.outputs[count:])
            made = made or self._room(y)
            start, stop = places.span(index)
            for whole, part in zip(made, states.tensors(y), strict=True):
                whole[:, start:stop] = part.detach()
        return [*made, *(leaf.detach().clone() for leaf in states.tensors(state))]

    def backwards(self, given: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Gradients of inputs, first state and weights, from those of outputs and final state."""
        parts, weights = (
            given[: len(self.wanted)],
            given[len(self.wanted) + len(states.tensors(self.state)) :],
        )
        count = len(states.tensors(self.form))
        of_outputs, of_state = gradients[:count], list(gradients[count:])
        of_inputs = [torch.empty_like(part) if part.requires_grad else None for part in parts]
        needed = [weight for weight in weights if weight.requires_grad]
        of_weights: list[Tensor | None] = [None] * len(needed)

        def reverse(held: Held, index: int) -> None:
            nonlocal of_state
            last, self.last = self.last, None
            piece = last if last is not None else self._record(index, resume(held))
            start, stop = self.places.span(index)
            arrived = [None if part is None else part[:, start:stop] for part in of_outputs]
            of_leaves, found = pull(piece, [*arrived, *of_state], needed)
            of_state = of_leaves[len(parts) :]
            add_to(of_weights, found)
            for whole, part in zip(of_inputs, of_leaves[: len(parts)], strict=True):
                if whole is not None:
                    whole[:, start:stop] = 0 if part is None else part

        first, held, self.held = self.held[0], self.held, self.held[:1]  # a second walk begins at the start
        with draws_apart(first[1].state), self._precision():
            walk_back(self.places, held, self._advance, reverse)
        return [*of_inputs, *of_state, *of_weights]

    def _advance(self, held: Held, index: int) -> Held:
        with torch.no_grad():
            return self.shelf.hold(self._run(index, resume(held))[1])

    def _run(self, index: int, state: State) -> tuple[State, State]:
        start, stop = self.places.span(index)
        return self._through(slice_time(self.x, start, stop), state, index)

    def _record(self, index: int, state: State) -> Piece:
        """Run `index` with its graph."""
        start, stop = self.places.span(index)
        x = slice_time(self.x, start, stop)
        return record(lambda part, before: self._through(part, before, index), x, state, self.wanted)

    def _through(self, x: Input, state: State, index: int) -> tuple[State, State]:
        start, stop = self.places.span(index)
        lengths = None if self.lengths is None else (self.lengths - start).clamp(0, stop - start)
        y, after = self.recurrence(x, state, lengths)
        if self.form is None:
            self.form = slice_time(states.detach(y), 0, 0)
        return y, after

    def _room(self, y: State) -> list[Tensor]:
        """Space for the outputs of all steps."""
        return [
            part.new_empty(part.shape[0], self.places.time, *part.shape[2:]) for part in states.tensors(y)
        ]

    def _precision(self) -> AbstractContextManager[object]:
        """A context in which runs are gone through as in the forward pass."""
        return torch.autocast(self.device, dtype=self.half[1], enabled=self.half[0])


class _Exact(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, job: _Job, *given: Tensor) -> tuple[Tensor, ...]:
        ctx.save_for_backward(*given)
        ctx.set_materialize_grads(False)
        ctx.job = job
        made = job.forwards()
        ctx.mark_non_differentiable(*(tensor for tensor in made if not differentiable(tensor)))
        return tuple(made)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        return None, *ctx.job.backwards(ctx.saved_tensors, gradients)
