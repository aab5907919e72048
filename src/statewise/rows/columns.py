"""One column to its channels: a standardised number, or one channel per category."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Role = Literal["target", "observed", "known", "static"]


@dataclass(frozen=True)
class Column:
    """How one column is encoded: (value - mean) / scale, or one-hot over `categories`, of training rows."""

    name: str
    role: Role
    mean: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] | None = None  # None: a number

    @property
    def width(self) -> int:
        """Number of channels."""
        return 1 if self.categories is None else len(self.categories)

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels: "humidity", or "holiday=Easter" …"""
        if self.categories is None:
            return (self.name,)
        return tuple(f"{self.name}={category}" for category in self.categories)

    def encode(self, values: Floats, categories: Sequence[str] | None) -> Floats:
        """Channels [N, width] of `values` [N]; text comes as numbers into `categories`. Missing stays NaN."""
        if self.categories is None:
            return ((values - self.mean) / self.scale)[:, None]
        place = {category: i for i, category in enumerate(self.categories)}
        hot = np.zeros((len(categories or ()) + 1, self.width))
        for number, category in enumerate(categories or ()):
            if category in place:
                hot[number, place[category]] = 1.0
        hot[-1] = np.nan
        return hot[np.where(np.isnan(values), -1, values).astype(np.int64)]


def fit_number(name: str, role: Role, parts: Iterable[Floats]) -> Column:
    """Mean and scale over training rows; flags (only 0 and 1) stay as they are, constants have scale 1."""
    values = np.concatenate([part[~np.isnan(part)] for part in parts])
    if not len(values) or (role != "target" and np.isin(values, (0.0, 1.0)).all()):
        return Column(name, role)
    mean, deviation = float(values.mean()), float(values.std())
    varies = deviation > 1e-12 * max(1.0, abs(mean))  # below that it is rounding, not variation
    return Column(name, role, mean, deviation if varies else 1.0)


def fit_categories(name: str, role: Role, parts: Iterable[Floats], categories: Sequence[str]) -> Column:
    """The categories that occur in the training rows, sorted."""
    numbers: set[int] = set()
    for part in parts:
        numbers.update(np.unique(part[~np.isnan(part)]).astype(int).tolist())
    return Column(name, role, categories=tuple(sorted(categories[number] for number in numbers)))


def to_mapping(column: Column) -> dict[str, Any]:
    """Plain JSON values of a column."""
    plain: dict[str, Any] = {"name": column.name, "role": column.role}
    if column.categories is None:
        return plain | {"mean": column.mean, "scale": column.scale}
    return plain | {"categories": list(column.categories)}
