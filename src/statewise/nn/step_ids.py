"""Whole numbers of an observation (words, characters) that choose the rows of a table, in a step program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from statewise.nn.step_values import Builder, Operand, Unknown, Value

_TAKES = frozenset(("embedding", "add", "eq", "ne", "gt", "ge", "lt", "le", "_to_copy"))
_LARGEST = 1 << 20  # numbers in a table: a row is chosen by a product with all of it, at every step


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
    rows, size = table.shape
    if table.numel() > _LARGEST:
        raise Unknown(f"an embedding of {rows} × {size} numbers (at most {_LARGEST})")
    for place in ids.ids.reshape(-1).tolist():
        b.into.rows[place] = min(rows, b.into.rows.get(place, rows))
    chosen = b.apply("eq", Value(ids.ids.unsqueeze(-1)), torch.arange(rows, dtype=torch.float32))
    return b.linear(chosen, table.t(), None)
