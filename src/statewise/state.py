"""State: a tensor, or a tuple (usually a NamedTuple) of states; every tensor has the batch on axis 0.

Functions, not methods. Beam search is `take`; a server batch is `concat`, `step`, `take`; truncated
backpropagation is `detach`; padding is `where`; a snapshot is `named`.

A memory that grows (a key-value cache) is a NamedTuple with a property `growing`: the names of the fields
whose axis 1 holds one entry per step. Entries stand at the left, zeros after each row's count, so that zeros
at the end mean nothing: where states meet (`map_state`, and so `concat` and `where`) the shorter ones are
filled up with zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from statewise.core.errors import ShapeError

State = Any  # Tensor | tuple[State, ...]: a recursive type that NamedTuples satisfy only structurally


def map_state(function: Callable[..., Tensor], state: State, *others: State) -> State:
    """Apply `function` to corresponding tensors of one or several states of the same structure.

    Of several states, the leaves that grow are first filled up with zeros to the longest.
    """
    if isinstance(state, Tensor):
        return function(state, *others)
    if not isinstance(state, tuple):
        raise ShapeError(f"state: got {type(state).__name__}, want a tensor or a (named) tuple of states.")
    for other in others:
        if type(other) is not type(state) or len(other) != len(state):
            raise ShapeError(f"state: structures differ: {_describe(state)} and {_describe(other)}.")
    leaves = zip(_fields(state), zip(state, *others, strict=True), strict=True)
    growing = _growing(state)
    parts = [map_state(function, *(_filled(leaf) if name in growing else leaf)) for name, leaf in leaves]
    return _rebuild(state, parts)


def tensors(state: State) -> list[Tensor]:
    """All tensors of a state, in order."""
    return [tensor for _, tensor in _walk(state, "")]


def named(state: State) -> dict[str, Tensor]:
    """Tensors by dotted path: {"0.hidden": …, "0.cell": …}; the names of a snapshot."""
    return dict(_walk(state, ""))


def from_named(template: State, leaves: Mapping[str, Tensor]) -> State:
    """The inverse of `named`: a state of `template`'s structure with the tensors of `leaves`."""
    want, got = set(named(template)), set(leaves)
    if want != got:
        raise ShapeError(f"state: missing leaves {sorted(want - got)}, unknown leaves {sorted(got - want)}.")
    return _fill(template, leaves, "")


def from_tensors(template: State, parts: Sequence[Tensor]) -> State:
    """The inverse of `tensors`: a state of `template`'s structure with the tensors of `parts`, in order."""
    names = [name for name, _ in _walk(template, "")]
    if len(names) != len(parts):
        raise ShapeError(f"state: got {len(parts)} tensors, want {len(names)}: {', '.join(names)}.")
    return _fill(template, dict(zip(names, parts, strict=True)), "")


def take(state: State, index: Tensor) -> State:
    """Rows `index` [M] of every tensor (gather along the batch axis)."""
    return map_state(lambda tensor: tensor.index_select(0, index), state)


def concat(states: Sequence[State]) -> State:
    """Several states as one batch."""
    first, *rest = states
    return map_state(lambda *leaves: torch.cat(leaves, dim=0), first, *rest)


def where(keep: Tensor, state: State, other: State) -> State:
    """Row by row: `state` where `keep` [B] is true, else `other`."""

    def choose(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(keep.view(-1, *([1] * (a.dim() - 1))), a, b)

    return map_state(choose, state, other)


def detach(state: State) -> State:
    """The same values, cut off from the graph (truncated backpropagation through time)."""
    return map_state(Tensor.detach, state)


def batch_size(state: State) -> int:
    """Rows in the batch. Raises ShapeError when tensors disagree."""
    sizes = {name: tensor.shape[0] for name, tensor in named(state).items()}
    if len(set(sizes.values())) != 1:
        raise ShapeError(f"state: every tensor needs the batch on axis 0, got sizes {sizes}.")
    return next(iter(sizes.values()))


def size_in_bytes(state: State) -> int:
    """Memory of all tensors in bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors(state))


def align(state: State, other: State) -> tuple[State, State]:
    """Both with the leaves that grow filled up with zeros to the longer one: the same memory, one shape."""
    return map_state(lambda a, b: a, state, other), map_state(lambda a, b: b, state, other)


def growing_leaves(state: State) -> set[str]:
    """The names (as `named` gives them) of the leaves that grow along axis 1; empty for a fixed size."""
    return set(_walk_growing(state, ""))


def _walk(state: State, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(state, Tensor):
        yield prefix or "state", state
        return
    if not isinstance(state, tuple):
        raise ShapeError(f"state: got {type(state).__name__}, want a tensor or a (named) tuple of states.")
    for name, part in zip(_fields(state), state, strict=True):
        yield from _walk(part, f"{prefix}.{name}" if prefix else name)


def _walk_growing(state: State, prefix: str) -> Iterator[str]:
    if not isinstance(state, tuple):
        return
    growing = _growing(state)
    for name, part in zip(_fields(state), state, strict=True):
        path = f"{prefix}.{name}" if prefix else name
        if name in growing:
            yield path
        yield from _walk_growing(part, path)


def _growing(state: tuple[State, ...]) -> Sequence[str]:
    return cast(Sequence[str], getattr(state, "growing", ()))


def _filled(leaves: Sequence[Tensor]) -> list[Tensor]:
    longest = max(leaf.shape[1] for leaf in leaves)
    return [leaf if leaf.shape[1] == longest else _longer(leaf, longest) for leaf in leaves]


def _longer(leaf: Tensor, size: int) -> Tensor:
    return torch.cat((leaf, leaf.new_zeros(leaf.shape[0], size - leaf.shape[1], *leaf.shape[2:])), dim=1)


def _fill(template: State, leaves: Mapping[str, Tensor], prefix: str) -> State:
    if isinstance(template, Tensor):
        return leaves[prefix or "state"]
    parts = [
        _fill(part, leaves, f"{prefix}.{name}" if prefix else name)
        for name, part in zip(_fields(template), template, strict=True)
    ]
    return _rebuild(template, parts)


def _fields(state: tuple[State, ...]) -> Sequence[str]:
    return cast(Sequence[str], getattr(state, "_fields", None) or [str(i) for i in range(len(state))])


def _rebuild(state: tuple[State, ...], parts: Sequence[State]) -> State:
    make = getattr(type(state), "_make", None)
    return make(parts) if make is not None else tuple(parts)


def _describe(state: State) -> str:
    return "tensor" if isinstance(state, Tensor) else f"{type(state).__name__}({len(state)})"
