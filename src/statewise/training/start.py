"""A warm start: new networks take over the weights of trained ones, by item where these stand for items."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn

from statewise.core.errors import ConfigError, shown
from statewise.models.loading import load
from statewise.models.model import Model
from statewise.tasks.task import Meaning, Meanings, Same

Pairs = list[tuple[int, int]]  # places (new, old) along one axis


def model_of(start: Any) -> Model | None:
    """The model to start from: given, or saved at a path. Raises ConfigError, BundleError."""
    if start is None or isinstance(start, Model):
        return start
    if isinstance(start, str | os.PathLike):
        return load(start)
    raise ConfigError(f"start: got {shown(start)}, want a trained model or the path of one.")


@dataclass(frozen=True)
class Start:
    """The model that members start from, and what the entries of the members' weights stand for."""

    model: Model
    meanings: Meanings

    def into(self, member: nn.Module, number: int) -> dict[str, Any]:
        """Put the weights of the model's member of this number into a new one; gives a record of it.

        Where there are more members than the model has, they start from its in turn. Raises ConfigError
        where nothing fits.
        """
        old = self._old(number)
        whole, aligned, left = 0, dict[str, list[int]](), list[str]()
        for name, weight in member.state_dict().items():
            given, meaning = old.get(_role(name), (None, ()))
            places = None if given is None else _places(weight, given, self.meanings.get(name, ()), meaning)
            if given is None or places is None:
                left += [name] if weight.numel() else []
                continue
            _copy(weight, given, places)
            if all(len(found) == size for found, size in zip(places, weight.shape, strict=True)):
                whole += 1
            else:
                aligned[name] = [len(places[0]), len(weight)]
        if not whole and not aligned:
            raise ConfigError(
                f"start: no weight of the model, of kind '{self.model.kind}', has the name and shape of one "
                "here: give this one the same cell, sizes and bidirectional."
            )
        return {"kind": self.model.kind, "whole": whole, "aligned": aligned, "left": left}

    def _old(self, number: int) -> dict[str, tuple[Tensor, Meaning]]:
        """The weights of a member of the model and what they mean, by role."""
        parts, meanings = self.model.parts, self.model.task.meanings(self.model.codec)
        held = parts[number % len(parts)].state_dict()
        return {_role(name): (weight, meanings.get(name, ())) for name, weight in held.items()}


def _role(name: str) -> str:
    """The name of a weight, alike in all kinds: what one calls its encoder is the backbone of another."""
    first, dot, rest = name.partition(".")
    return f"backbone{dot}{rest}" if first == "encoder" else name


def _places(new: Tensor, old: Tensor, ours: Meaning, theirs: Meaning) -> list[Pairs] | None:
    """Along every axis which entries are taken over; None for a weight that is not."""
    if new.dim() != old.dim():
        return None
    if isinstance(ours, Same) or isinstance(theirs, Same):
        ours, theirs = ((), ()) if ours == theirs else (None, None)
    if ours is None or theirs is None:
        return None
    axes = zip_longest(ours, theirs, range(new.dim()))
    found = [_pairs(mine, yours, (new.shape[axis], old.shape[axis])) for mine, yours, axis in axes]
    return found if all(found) else None


def _pairs(
    ours: Sequence[Hashable] | None, theirs: Sequence[Hashable] | None, sizes: tuple[int, int]
) -> Pairs:
    """The entries along one axis that mean the same: of the same item, or all where none has a meaning."""
    if ours is None and theirs is None:
        return [(place, place) for place in range(sizes[0])] if sizes[0] == sizes[1] else []
    if ours is None or theirs is None:
        return []
    known = {item: place for place, item in enumerate(theirs)}
    return [(place, known[item]) for place, item in enumerate(ours) if item in known]


@torch.no_grad()
def _copy(new: Tensor, old: Tensor, places: list[Pairs]) -> None:
    """The entries at `places` of each axis, from `old` to `new`."""
    if not places:
        new.copy_(old)
        return
    mine, theirs = (
        torch.meshgrid(*(torch.tensor([pair[side] for pair in found]) for found in places), indexing="ij")
        for side in (0, 1)
    )
    new[mine] = old[theirs]
