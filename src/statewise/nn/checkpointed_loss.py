"""A loss summed over time, its exact gradient taken run by run: neither outputs nor inputs pile up.

The gradient is worked out while the loss is, and handed over when backpropagation asks for it; so what is
kept is what one run takes, the states along the way, and one gradient of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from statewise import state as states
from statewise.core.errors import ShapeError
from statewise.nn.checkpoint_plan import Footprint, Plan, walk_back
from statewise.nn.footprint import state_bytes, step_bytes
from statewise.nn.memory import kind, parse_memory
from statewise.nn.recompute import Held, Piece, Shelf, add_to, differentiable, hold, pull, resume, slice_time
from statewise.recurrence import Input, Recurrence
from statewise.state import State


class Part(NamedTuple):
    """What some steps add: to the sum, to the weight it may be divided by, and the state after them."""

    total: Tensor  # []
    weight: Tensor  # []
    after: State


class Terms(NamedTuple):
    """A sum over `time` steps, of which any stretch can be had; what is drawn is drawn in training only."""

    time: int
    measure: Callable[[int, int, State], Part]  # the part of steps start … stop - 1 from a state
    advance: Callable[[int, int, State], State]  # only the state after them
    weights: Sequence[Tensor]
    training: bool


class CheckpointedLoss(nn.Module):
    """The sum over time of `loss(y, target)` for `recurrence`, with its exact gradient in little memory.

    `loss` is a function or module from outputs and targets of some steps [B, L, ...] to the sum of their
    losses. Trained are the parameters of `recurrence`, and those of `loss` when it is a module. `memory` is
    as in `Checkpointed`; nothing that grows with the steps comes on top but x and target themselves.
    """

    def __init__(
        self, recurrence: Recurrence, loss: Callable[[Tensor, State], Tensor], memory: str | float = "50 MB"
    ) -> None:
        super().__init__()
        self.recurrence, self.loss = recurrence, loss
        self.memory = parse_memory(memory)
        self._measured: dict[object, Footprint] = {}

    def forward(
        self, x: Input, target: State, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The sum [] over x [B, T, ...] and target [B, T, ...], and the state after, cut off from its past.

        Steps after a row's length give `loss` an output of zero. Raises ShapeError when x needs a gradient.
        """
        parts = states.tensors(x)
        if any(part.requires_grad for part in parts):
            raise ShapeError(
                "checkpointed loss: x needs a gradient, which it does not get: use Checkpointed."
            )
        batch, time = parts[0].shape[:2]
        state = self.recurrence.initial_state(batch) if state is None else state

        def run(start: int, stop: int, before: State) -> tuple[Tensor, State]:
            left = None if lengths is None else (lengths - start).clamp(0, stop - start)
            found: tuple[Tensor, State] = self.recurrence(slice_time(x, start, stop), before, left)
            return found

        def measure(start: int, stop: int, before: State) -> Part:
            y, after = run(start, stop, before)
            total = self.loss(y, slice_time(target, start, stop))
            return Part(total, total.detach(), after)

        weights = [weight for weight in self.parameters() if weight.requires_grad]
        terms = Terms(time, measure, lambda *given: run(*given)[1], weights, self.training)
        data = [*parts, *states.tensors(target)]
        places = self.memory.plan(time, lambda: measured(self._measured, terms, state, data))
        part = exact_sum(terms, places, state)
        return part.total, part.after


def measured(known: dict[object, Footprint], terms: Terms, state: State, data: Sequence[Tensor]) -> Footprint:
    """What walking back through `terms` takes, measured once for a shape; `data` is there anyway."""
    key = (terms.training, kind(tuple(data), state))
    if key not in known:

        def trial(steps: int) -> None:
            _Walk(terms._replace(time=steps), Plan(steps, steps, 0), state).run()

        there = [*data, *states.tensors(state), *terms.weights]
        fixed, step = step_bytes(trial, terms.time, there)
        held = state_bytes(lambda: terms.advance(0, 1, state), state, terms.time, terms.training)
        known[key] = Footprint(held, fixed, step)
    return known[key]


def exact_sum(terms: Terms, places: Plan, state: State) -> Part:
    """The sum of all terms, with its gradient to the weights and the first state; the rest has none."""
    walk = _Walk(terms, places, state)
    given = [*states.tensors(state), *terms.weights]
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in given):
        total = _Sum.apply(walk, *given)  # type: ignore[no-untyped-call]
    else:
        total = walk.value()
    return Part(total, walk.weight, walk.after)


class _Walk:
    """One sum: its value, and the gradients that were found with it."""

    def __init__(self, terms: Terms, places: Plan, state: State) -> None:
        self.terms, self.places, self.after = terms, places, states.detach(state)
        self.first, self.shelf = self.after, Shelf(places.kept + 4, terms.training)
        self.end = hold(self.after, terms.training)
        device = states.tensors((self.first, tuple(terms.weights)))[0].device
        self.total = self.weight = torch.zeros((), device=device)
        self.of_state: list[Tensor | None] = [None] * len(states.tensors(state))
        self.of_weights: list[Tensor | None] = [None] * len(terms.weights)

    def value(self) -> Tensor:
        """The sum alone."""
        for index in range(self.places.runs):
            part = self.terms.measure(*self.places.span(index), self.after)
            self._add(part)
            self.after = part.after
        return self.total

    def run(self) -> Tensor:
        """The sum, with its gradients put by."""
        walk_back(self.places, [(0, self.shelf.hold(self.after))], self._advance, self._reverse)
        resume(self.end)  # what is drawn next goes on from the end of the sequence
        return self.total

    def _advance(self, held: Held, index: int) -> Held:
        with torch.no_grad():
            after = self.terms.advance(*self.places.span(index), resume(held))
            return self.shelf.hold(after)

    def _reverse(self, held: Held, index: int) -> None:
        state = resume(held)
        leaves = [leaf.detach().requires_grad_(differentiable(leaf)) for leaf in states.tensors(state)]
        with torch.enable_grad():
            part = self.terms.measure(*self.places.span(index), states.from_tensors(state, leaves))
        if index == self.places.runs - 1:
            self.end = hold(part.after, self.terms.training)
            self.after = self.end.state
        self._add(part)
        piece = Piece(leaves, [part.total, *states.tensors(part.after)])
        given = [torch.ones_like(part.total), *self.of_state]
        self.of_state, found = pull(piece, given, self.terms.weights)
        add_to(self.of_weights, found)

    def _add(self, part: Part) -> None:
        self.total = self.total + part.total.detach()
        self.weight = self.weight + part.weight.detach()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, walk: _Walk, *given: Tensor) -> Tensor:
        total = walk.run()
        ctx.save_for_backward(*(part for part in (*walk.of_state, *walk.of_weights) if part is not None))
        ctx.missing = [part is None for part in (*walk.of_state, *walk.of_weights)]
        walk.of_state, walk.of_weights = [], []
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        found = iter(ctx.saved_tensors)
        return None, *(None if missing else gradient * next(found) for missing in ctx.missing)
