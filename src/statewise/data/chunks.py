"""Chunks: a batch of lanes cut along time, in the order in which a carried state must see them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from statewise import state as states
from statewise.core.errors import ConfigError, ShapeError
from statewise.state import State


class Chunk(NamedTuple):
    """Some consecutive steps of B lanes; `inputs` and `target` are a tensor or a tree (tuples) of tensors."""

    inputs: State  # [B, L, ...]
    target: State  # [B, L, ...]
    weight: Tensor  # [B, L], 0 = not trained: padding, burn-in
    fresh: bool  # True: the state starts anew; False: it is carried from the chunk before
    last: bool = False  # True: the lanes end here, nothing is carried on


def cut(inputs: State, target: State, weight: Tensor, chunk_length: int | None) -> Iterator[Chunk]:
    """Consecutive chunks of lanes [B, T, ...], the first one fresh; the last may be shorter.

    `chunk_length=None` gives the whole lanes as one chunk (full backpropagation through time). Chunks are
    views: nothing is copied. Raises ShapeError when the parts differ in lanes or time.
    """
    if chunk_length is not None and chunk_length < 1:
        raise ConfigError(f"chunk_length: got {chunk_length}, want at least 1, or none for whole sequences.")
    _check_lanes(inputs, target, weight)
    return _slices(inputs, target, weight, chunk_length or max(weight.shape[1], 1))


def to_device(chunk: Chunk, device: torch.device) -> Chunk:
    """The same chunk with every tensor on `device`."""
    parts = (chunk.inputs, chunk.target, chunk.weight)
    inputs, target, weight = states.map_state(lambda tensor: tensor.to(device, non_blocking=True), parts)
    return Chunk(inputs, target, weight, chunk.fresh, chunk.last)


def _slices(inputs: State, target: State, weight: Tensor, length: int) -> Iterator[Chunk]:
    time = weight.shape[1]
    for start in range(0, time, length):
        parts = states.map_state(lambda x, s=start: x[:, s : s + length], (inputs, target, weight))
        yield Chunk(parts[0], parts[1], parts[2], fresh=start == 0, last=start + length >= time)


def _check_lanes(inputs: State, target: State, weight: Tensor) -> None:
    if weight.dim() != 2:
        raise ShapeError(f"weight: got shape {list(weight.shape)}, want [B, T].")
    want = list(weight.shape)
    for part, tree in (("inputs", inputs), ("target", target)):
        for path, tensor in states.named(tree).items():
            if list(tensor.shape[:2]) != want:
                where = part if path == "state" else f"{part}.{path}"
                raise ShapeError(f"{where}: got shape {list(tensor.shape)}, want {want} first, as in weight.")
