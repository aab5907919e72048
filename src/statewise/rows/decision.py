"""From probabilities to a decision: the likeliest class, the cheapest one, or a label that is sure enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statewise.core.errors import BundleError

Array = NDArray[np.float64]
HALF = 0.5


@dataclass(frozen=True)
class Decision:
    """How a label is chosen. With nothing set: the likeliest class, or of several labels those above a half.

    `costs` [K][K], actual by predicted: the class of least expected cost (Elkan 2001, eq. 1). `thresholds`:
    of several labels the least probability of each; of classes that of the class `positive` alone, below
    which the likeliest of the others is taken.
    """

    multi_label: bool = False  # a row has any number of labels
    costs: tuple[tuple[float, ...], ...] = ()
    positive: int | None = None
    thresholds: tuple[float, ...] = ()

    def choose(self, probabilities: ArrayLike) -> NDArray[Any]:
        """Probabilities [N, K] to the class of each row [N], or to labels as true and false [N, K]."""
        made = np.asarray(probabilities, dtype=np.float64)
        if self.multi_label:
            found: NDArray[Any] = made >= (np.array(self.thresholds) if self.thresholds else HALF)
            return found
        if self.costs:
            return np.asarray((made @ np.array(self.costs)).argmin(axis=1))
        if self.positive is not None and self.thresholds:
            others = made.copy()
            others[:, self.positive] = -1.0
            sure = made[:, self.positive] >= self.thresholds[0]
            return np.where(sure, self.positive, others.argmax(axis=1))
        return np.asarray(made.argmax(axis=1))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "multi_label": self.multi_label,
            "costs": [list(row) for row in self.costs],
            "positive": self.positive,
            "thresholds": list(self.thresholds),
        }

    @staticmethod
    def from_json(plain: Any, labels: int) -> Decision:
        """The decision `to_json` wrote, among `labels` labels. Raises BundleError for anything else."""
        if not isinstance(plain, Mapping) or set(plain) != {"multi_label", "costs", "positive", "thresholds"}:
            raise BundleError("decision: want multi_label, costs, positive and thresholds.")
        try:
            decision = Decision(
                bool(plain["multi_label"]),
                tuple(tuple(map(float, row)) for row in plain["costs"]),
                None if plain["positive"] is None else int(plain["positive"]),
                tuple(map(float, plain["thresholds"])),
            )
        except (TypeError, ValueError) as error:
            raise BundleError(f"decision: {error}.") from None
        sizes = {len(decision.costs), *map(len, decision.costs)} if decision.costs else {labels}
        wanted = labels if decision.multi_label else 1
        if sizes != {labels} or len(decision.thresholds) not in (0, wanted):
            raise BundleError(f"decision: its costs or thresholds do not fit {labels} labels.")
        if decision.positive is not None and not 0 <= decision.positive < labels:
            raise BundleError(f"decision: no label number {decision.positive} among {labels}.")
        return decision


def sure_enough(relevant: ArrayLike, probabilities: ArrayLike, precision: float) -> tuple[float, float]:
    """The lowest threshold at which the wanted share of what it lets through is right, and that share.

    Where no threshold reaches it, the one of the highest share; with no relevant row 1 and NaN. Ties pass
    together. The threshold lies halfway to the next lower probability, so that rounding moves no row.
    """
    there, sure = np.asarray(relevant, dtype=bool), np.asarray(probabilities, dtype=np.float64)
    if not there.any():
        return 1.0, float("nan")
    order = np.argsort(-sure, kind="stable")
    value = sure[order]
    ends = np.flatnonzero(np.append(np.diff(value) != 0, True))
    share = there[order].cumsum()[ends] / (ends + 1)
    good = np.flatnonzero(share >= precision)
    place = int(good[-1]) if len(good) else int(share.argmax())
    below = value[ends[place + 1]] if place + 1 < len(ends) else 0.0
    return float((value[ends[place]] + below) / 2), float(share[place])
