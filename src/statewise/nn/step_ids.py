"""Whole numbers of an observation (words, characters) that choose the rows of a table, in a step program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from statewise.nn.step_values import Builder, Operand, Unknown, Value

_TAKES = frozenset(("embedding", "add", "eq", "ne", "gt", "ge", "lt", "le", "_to_copy"))
_MOST = 1 << 20  # multiply-adds of a look-up: each row is chosen by a product with the whole table


@dataclass(frozen=True)
class Ids(Value):
    """Ids, kept in floats: exact below 2²⁴."""


def refused(given: Any, name: str) -> bool:
    """Whether `given` holds whole numbers that the operation `name` cannot take."""
    whole = isinstance(given, Value) and given.dtype == torch.int64
    return whole and not (isinstance(given, Ids) and name in _TAKES)


def embedding(b: Builder, table: Operand, ids: Operand, *rest: Any) -> Value:
    """Rows of a constant table, each as the product with a vector of one 1: the bits of the row. Unknown."""
    if not isinstance(table, Tensor) or not isinstance(ids, Ids):
        raise Unknown("an embedding whose table changes")
    rows = len(table)
    if not table.isfinite().all():  # 0 · ∞ would spoil every row
        raise Unknown("an embedding that is not finite")
    if (cost := ids.ids.numel() * table.numel()) > _MOST:
        raise Unknown(f"an embedding that takes {cost} multiply-adds (at most {_MOST})")
    return b.linear(_marked(b, ids, rows), table.t(), None)


def gather(b: Builder, x: Value, axis: int, ids: Ids) -> Value:
    """Numbers of `x` [..., N] at the places `ids` [..., K] along the last axis. Unknown."""
    if axis % len(x.shape) != len(x.shape) - 1:
        raise Unknown("a gather along another axis than the last")
    kept = b.apply("where", _marked(b, ids, x.shape[-1]), Value(x.ids.unsqueeze(-2)), 0.0)
    return b.reduce("sum", kept, (-1,), False)


def _marked(b: Builder, ids: Ids, rows: int) -> Value:
    """Ids [...] as vectors [..., rows] with one 1, at their place."""
    for place in ids.ids.reshape(-1).tolist():
        b.into.rows[place] = min(rows, b.into.rows.get(place, rows))
    return b.apply("eq", Value(ids.ids.unsqueeze(-1)), torch.arange(rows, dtype=torch.float32))
