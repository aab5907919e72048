"""Rows of like length in one batch, so that little is computed on padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from statewise.core.errors import ConfigError, ShapeError

Rows = NDArray[np.int64]


def buckets(
    lengths: ArrayLike,
    *,
    batch_size: int = 0,
    batch_tokens: int = 0,
    rng: np.random.Generator | None = None,
) -> list[Rows]:
    """Batches of row numbers of like length; every row is in exactly one batch.

    `lengths` [N], or [N, K] for rows of K sequences, such as source and target; then the longest counts. A
    batch holds at most `batch_size` rows, or rows of at most `batch_tokens` steps with their padding (the
    longest length times the rows); a longer row is a batch of its own. With both, both hold.

    With `rng` rows of one length and the batches are shuffled, by draws from it alone, so a run resumed at
    the start of an epoch repeats its order; without it the batches go from short to long. Raises ConfigError
    without a limit.
    """
    _check(batch_size, batch_tokens)
    table = np.asarray(lengths, dtype=np.int64)
    if table.ndim not in (1, 2) or (table.ndim == 2 and table.shape[1] == 0):
        raise ShapeError(f"lengths: got shape {list(table.shape)}, want [N] or [N, K].")
    columns = table.T if table.ndim == 2 else table[None]
    ties = rng.random(len(table)) if rng is not None else np.arange(len(table))
    longest = columns.max(axis=0, initial=0)
    order = np.lexsort((ties, *columns[::-1], longest))
    batches = list(_cut(order, longest[order], batch_size, batch_tokens))
    if rng is None:
        return batches
    return [batches[i] for i in rng.permutation(len(batches))]


def pad(arrays: Sequence[Any], value: float = 0) -> tuple[Tensor, Tensor]:
    """Arrays or lists [T_i, ...] as one tensor [B, T, ...], `value` after each end, and the lengths [B].

    Lists of whole numbers become int64. Raises ShapeError when the arrays differ in more than their length,
    or there are none.
    """
    rows = [np.asarray(array, dtype=np.int64) if _empty(array) else np.asarray(array) for array in arrays]
    if not rows:
        raise ShapeError("pad: got no array, want at least one.")
    trailing = {row.shape[1:] for row in rows}
    if len(trailing) > 1 or any(row.ndim == 0 for row in rows):
        raise ShapeError(
            f"pad: got shapes {sorted({row.shape for row in rows})[:3]}, want one after the first axis."
        )
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    filled = [row.dtype for row in rows if len(row)] or [rows[0].dtype]
    padded = np.full((len(rows), lengths.max(), *trailing.pop()), value, dtype=np.result_type(*filled))
    for row, place in zip(rows, padded, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(padded), torch.from_numpy(lengths)


def padding_share(lengths: ArrayLike, batches: Sequence[Rows]) -> float:
    """The share of padded steps that are padding, 0 to 1, of rows of `lengths` [N] in `batches`."""
    table = np.asarray(lengths, dtype=np.int64)
    padded = sum(int(table[rows].max()) * len(rows) for rows in batches)
    return 1.0 - float(sum(int(table[rows].sum()) for rows in batches)) / padded if padded else 0.0


def _cut(order: Rows, longest: Rows, batch_size: int, batch_tokens: int) -> Iterator[Rows]:
    """Consecutive rows while the batch keeps to its limits; `longest` rises along `order`."""
    start = 0
    for end in range(1, len(order) + 1):
        count = end - start + 1  # with the next row
        if (
            end == len(order)
            or (batch_size and count > batch_size)
            or (batch_tokens and count * max(int(longest[end]), 1) > batch_tokens)
        ):
            yield order[start:end]
            start = end


def _check(batch_size: int, batch_tokens: int) -> None:
    for name, value in (("batch_size", batch_size), ("batch_tokens", batch_tokens)):
        if value < 0:
            raise ConfigError(f"{name}: got {value}, want at least 1, or 0 for no limit.")
    if not batch_size and not batch_tokens:
        raise ConfigError("batch_size: got 0, want a number of rows, or batch_tokens for a budget of steps.")


def _empty(array: Any) -> bool:
    return isinstance(array, (list, tuple)) and not array
