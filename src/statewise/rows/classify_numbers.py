"""Sequences of numbers as arrays for a classifier: columns of lists, standardised on training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import BundleError, DataError, StreamError, shown
from statewise.rows.classify_text import Arrays, Keep, kept_places
from statewise.rows.records import Records

Floats = NDArray[np.float64]
_SMALLEST = 1e-8  # spread of a channel that is taken as constant


@dataclass(frozen=True)
class NumberReader:
    """Columns of numbers to [T, C]: every column one channel, or one column of nested lists [T][C].

    Channels are standardised by mean and spread of the training rows; None and NaN are missing values and
    stay NaN. Sequences of more than `max_length` steps are cut like texts.
    """

    columns: tuple[str, ...]
    mean: tuple[float, ...]
    spread: tuple[float, ...]
    max_length: int
    keep: Keep = "head"

    @staticmethod
    def fit(rows: Records, columns: Sequence[str], max_length: int, keep: Keep) -> NumberReader:
        """The reader with the levels of the training rows. Raises DataError."""
        steps = np.concatenate(_sequences(rows, tuple(columns), None))
        mean, spread = [], []
        for values in steps.T:
            seen = values[~np.isnan(values)]
            mean.append(float(seen.mean()) if len(seen) else 0.0)
            wide = float(seen.std()) if len(seen) else 0.0
            spread.append(wide if wide > _SMALLEST * max(1.0, abs(mean[-1])) else 1.0)
        return NumberReader(tuple(columns), tuple(mean), tuple(spread), max_length, keep)

    @property
    def channels(self) -> int:
        """Numbers per step."""
        return len(self.mean)

    def read(self, rows: Records) -> list[Any]:
        """The sequences [T, C] of checked rows, in their own units."""
        return list(_sequences(rows, self.columns, self.channels))

    def encode(self, sequence: Floats) -> Arrays:
        """One sequence [T, C] as (standardised values [T, C],)."""
        kept = sequence[kept_places(len(sequence), self.max_length, self.keep)]
        return (self._standardised(kept),)

    def cut(self, sequences: Sequence[Floats]) -> int:
        """How many of the sequences are longer than `max_length`."""
        return sum(len(sequence) > self.max_length for sequence in sequences)

    def encode_item(self, item: Any) -> Arrays:
        """One step: a list of C numbers, a mapping by column, or for one channel a number."""
        if isinstance(item, Mapping) and len(self.columns) == self.channels:
            if missing := [name for name in self.columns if name not in item]:
                raise StreamError(f"item: no column '{missing[0]}' in {shown(dict(item))}.")
            item = [item[name] for name in self.columns]
        values = [item] if self.channels == 1 and not isinstance(item, list | tuple | np.ndarray) else item
        try:
            step = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        except (TypeError, ValueError):
            raise StreamError(f"item: got {shown(item)}, want {self.channels} numbers.") from None
        if step.shape != (self.channels,):
            raise StreamError(f"item: got {shown(item)}, want {self.channels} numbers.")
        if np.isinf(step).any():
            raise StreamError(f"item: got {shown(item)}, want finite numbers (missing: None or NaN).")
        return (self._standardised(step),)

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...], str], ...]:
        """Name, shape and dtype of the array of one live step."""
        return (("values", (self.channels,), "float32"),)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": "numbers",
            "columns": list(self.columns),
            "mean": list(self.mean),
            "spread": list(self.spread),
            "max_length": self.max_length,
            "keep": self.keep,
        }

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> NumberReader:
        """The reader `to_json` wrote. Raises BundleError for anything else."""
        try:
            reader = NumberReader(
                tuple(map(str, plain["columns"])),
                tuple(map(float, plain["mean"])),
                tuple(map(float, plain["spread"])),
                int(plain["max_length"]),
                plain["keep"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"codec: values: {error}.") from None
        if not reader.mean or len(reader.mean) != len(reader.spread):
            raise BundleError("codec: values: want one mean and one spread for each channel.")
        return reader

    def _standardised(self, values: Floats) -> NDArray[np.float32]:
        made = (values - np.array(self.mean)) / np.array(self.spread)
        return np.asarray(made, dtype=np.float32)


def _sequences(rows: Records, columns: tuple[str, ...], channels: int | None) -> list[Floats]:
    """Every row as [T, C] in its own units. Raises DataError naming the row."""
    made = []
    for row in range(len(rows)):
        parts = [_numbers(rows[name][row], name, rows, row) for name in columns]
        if len({len(part) for part in parts}) > 1:
            told = ", ".join(f"'{name}' has {len(part)}" for name, part in zip(columns, parts, strict=True))
            raise DataError(f"values: columns of different lengths: {told} ({rows.place(row)}).")
        sequence = np.concatenate(parts, axis=1)
        channels = sequence.shape[1] if channels is None else channels
        if sequence.shape[1] != channels:
            got = f"got {sequence.shape[1]} numbers a step, want {channels}"
            raise DataError(f"{columns[0]}: {got} ({rows.place(row)}).")
        made.append(sequence)
    return made


def _numbers(cell: Any, name: str, rows: Records, row: int) -> Floats:
    """One cell as [T, C]; a flat list is one channel."""
    if cell is None or isinstance(cell, str | float | int) or len(cell) == 0:
        raise DataError(f"{name}: got {shown(cell)}, want a list of numbers ({rows.place(row)}).")
    try:
        values = np.array([_without_none(step) for step in cell], dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name}: want numbers, as many at every step ({rows.place(row)}).") from None
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[1] == 0:
        raise DataError(f"{name}: got shape {list(values.shape)}, want [T] or [T, C] ({rows.place(row)}).")
    if np.isinf(values).any():
        raise DataError(f"{name}: holds an infinite number ({rows.place(row)}).")
    return values


def _without_none(step: Any) -> Any:
    if step is None:
        return np.nan
    if isinstance(step, list | tuple | np.ndarray):
        return [np.nan if value is None else value for value in step]
    return step
