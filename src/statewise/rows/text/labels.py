"""The labels of a column and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import BundleError, DataError, shown, suggestion

Label = str | int | bool


def row_number(row: int) -> str:
    """ "row 17": how a row is named where nothing better is known."""
    return f"row {row}"


@dataclass(frozen=True)
class Labels:
    """Labels in the order of the alphabet (of size, for numbers), and how often training rows hold them.

    A label keeps its kind (text, a whole number, true or false); two of one spelling are one label, so a
    file that holds "1" and a frame that holds 1 mean the same.
    """

    names: tuple[Label, ...]
    counts: tuple[int, ...]

    @staticmethod
    def fit(values: Iterable[Any], name: str = "label", place: Callable[[int], str] = row_number) -> Labels:
        """The labels of training rows; `name` is the column, `place` names a row in errors.

        Raises DataError: "label: no label (row 3).", "label: got 0.5, want text, a whole number or true or
        false (row 3).", "label: the training rows hold no label.".
        """
        counts: Counter[str] = Counter()
        kinds: dict[str, Label] = {}
        for row, value in enumerate(values):
            label = as_label(value, name, place, row)
            key = _spelled(label)
            kinds.setdefault(key, label)
            counts[key] += 1
        if not counts:
            raise DataError(f"{name}: the training rows hold no label.")
        whole = all(type(label) is int for label in kinds.values())
        order = sorted(kinds, key=(lambda key: (int(key), key)) if whole else (lambda key: (0, key)))
        return Labels(tuple(kinds[key] for key in order), tuple(counts[key] for key in order))

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def index(self) -> dict[str, int]:
        """Number of each label by its spelling."""
        return {_spelled(label): number for number, label in enumerate(self.names)}

    @property
    def majority(self) -> Label:
        """The most frequent label of the training rows; the first of them when there are several."""
        return self.names[int(np.argmax(self.counts))]

    def encode(
        self, values: Sequence[Any], name: str = "label", place: Callable[[int], str] = row_number
    ) -> NDArray[np.int64]:
        """The number of each label [N].

        Raises DataError: "label: 'spam' is not among the labels of the training rows (row 3). Did you mean
        'Spam'?".
        """
        index = self.index
        numbers = np.empty(len(values), dtype=np.int64)
        for row, value in enumerate(values):
            number = index.get(value) if type(value) is str else None
            if number is None:
                number = index.get(_spelled(as_label(value, name, place, row)), -1)
            if number < 0:
                told = f"{name}: {shown(value)} is not among the labels of the training rows ({place(row)})."
                raise DataError(told + suggestion(str(value), index))
            numbers[row] = number
        return numbers

    def decode(self, numbers: Iterable[int]) -> list[Label]:
        """The labels of numbers, of the kind the training rows had."""
        return [self.names[number] for number in numbers]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives equal labels."""
        return {"names": list(self.names), "counts": list(self.counts)}

    @staticmethod
    def from_json(plain: Any) -> Labels:
        """The labels `to_json` wrote. Raises BundleError for anything else."""
        names = plain.get("names") if isinstance(plain, Mapping) else None
        counts = plain.get("counts") if isinstance(plain, Mapping) else None
        if not _all(names, (str, int)) or not _all(counts, (int,)) or len(names) != len(counts):  # type: ignore[arg-type]
            raise BundleError("labels: want names (texts or whole numbers) and as many counts.")
        labels = Labels(tuple(names), tuple(counts))  # type: ignore[arg-type]
        if len(labels.index) < len(labels) or not len(labels):
            raise BundleError("labels: want at least one, and every label once.")
        return labels


def as_label(value: Any, name: str, place: Callable[[int], str], row: int) -> Label:
    """One cell as a label; a whole float is its whole number (a column with gaps was read as floats)."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        value = None if value != value else int(value) if value.is_integer() else value
    if value is None or (isinstance(value, str) and not value):
        raise DataError(f"{name}: no label ({place(row)}).")
    if not isinstance(value, (str, int)):
        want = "want text, a whole number or true or false"
        raise DataError(f"{name}: got {shown(value)}, {want} ({place(row)}).")
    return value


def _spelled(label: Label) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _all(values: Any, kinds: tuple[type, ...]) -> bool:
    return isinstance(values, (list, tuple)) and all(isinstance(value, kinds) for value in values)
