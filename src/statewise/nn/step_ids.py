"""Whole numbers of an observation (words, characters) that choose the rows of a table, in a step program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from statewise.nn.step_values import Builder, Operand, Unknown, Value

_TAKES = frozenset(("embedding", "add", "eq", "ne", "gt", "ge", "lt", "le", "_to_copy"))


@dataclass(frozen=True)
class Ids(Value):
    """Ids, kept in floats: exact below 2²⁴."""


def refused(given: Any, name: str) -> bool:
    """Whether `given` holds whole numbers that the operation `name` cannot take."""
    whole = isinstance(given, Value) and given.dtype == torch.int64
    return whole and not (isinstance(given, Ids) and name in _TAKES)


def embedding(b: Builder, table: Operand, ids: Operand, *rest: Any) -> Value:
    """Rows of a constant table, bit for bit. Raises Unknown."""
    if not isinstance(table, Tensor) or not isinstance(ids, Ids):
        raise Unknown("an embedding whose table changes")
    _bounded(b, ids, len(table))
    first = b.into.constant(table.detach().numpy())
    return b.lookup(ids, first, *table.shape)


def gather(b: Builder, x: Value, axis: int, ids: Ids) -> Value:
    """Numbers of `x` [..., N] at the places `ids` [..., K] along the last axis. Raises Unknown."""
    if axis % len(x.shape) != len(x.shape) - 1:
        raise Unknown("a gather along another axis than the last")
    size = x.shape[-1]
    _bounded(b, ids, size)
    x = b.whole(x)
    pairs = zip(x.ids.reshape(-1, size), ids.ids.reshape(-1, ids.shape[-1]), strict=True)
    found = [b.lookup(Value(places), int(row[0]), size, 1).ids for row, places in pairs]
    return Value(torch.stack(found).view(ids.shape))


def _bounded(b: Builder, ids: Ids, rows: int) -> None:
    """Notes that each of `ids` must be below `rows`."""
    for place in ids.ids.reshape(-1).tolist():
        b.into.rows[place] = min(rows, b.into.rows.get(place, rows))
