"""Rows to numbers and answers to labels, for a classifier: without torch, plain values in the bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statewise.core.errors import BundleError, DataError, shown
from statewise.rows.classify_numbers import NumberReader
from statewise.rows.classify_text import Arrays, TextReader
from statewise.rows.decision import Decision
from statewise.rows.records import Records
from statewise.rows.text import tokenizers
from statewise.rows.text.labels import Label, Labels
from statewise.rows.text.n_grams import NGrams

Reader = TextReader | NumberReader
_READERS: dict[str, Callable[[Mapping[str, Any]], Reader]] = {
    "text": TextReader.from_json,
    "numbers": NumberReader.from_json,
}


@dataclass(frozen=True)
class ClassifyCodec:
    """What a classifier reads (`reader`), its labels, and how it decides; fitted on training rows."""

    reader: Reader
    label: str  # the column
    labels: Labels
    decision: Decision

    def encode(self, rows: Records) -> list[Arrays]:
        """The arrays of every row, time on axis 0."""
        return [self.reader.encode(value) for value in self.reader.read(rows)]

    def target(self, rows: Records) -> NDArray[Any]:
        """The class of every row [N], or zeros and ones [N, K] of several labels.

        Raises DataError for a label that the training rows did not hold.
        """
        if not self.decision.multi_label:
            return self.labels.encode(rows[self.label], self.label, rows.place)
        made = np.zeros((len(rows), len(self.labels)), dtype=np.float32)
        flat, owner = flattened(rows, self.label)
        made[owner, self.labels.encode(flat, self.label, lambda place: rows.place(owner[place]))] = 1.0
        return made

    @property
    def items(self) -> tuple[str, ...]:
        """Every entry of the vocabulary, by its number; none for numbers."""
        return tokenizers.items(self.reader.tokenizer) if isinstance(self.reader, TextReader) else ()

    def widened(self, other: ClassifyCodec) -> ClassifyCodec:
        """The codec that also knows the tokens of `other`."""
        if not isinstance(self.reader, TextReader) or not isinstance(other.reader, TextReader):
            return self
        return replace(self, reader=self.reader.widened(other.reader))

    @property
    def runs(self) -> NGrams | None:
        """The runs of tokens that are known, where they are wanted."""
        return self.reader.runs if isinstance(self.reader, TextReader) else None

    def tokens(self, text: str) -> list[str]:
        """The tokens of a text, as a live session wants them one by one."""
        if not isinstance(self.reader, TextReader):
            raise DataError("tokens: this classifier reads numbers.")
        return self.reader.tokenizer.tokens(text)

    def encode_item(self, item: Any) -> Arrays:
        """The arrays of one live step: a token, or the numbers of a step. Raises StreamError."""
        return self.reader.encode_item(item)

    def decode_output(self, output: NDArray[Any]) -> dict[str, Any]:
        """Probabilities [K] as plain values: the label (or labels) decided on and every probability."""
        return self.answers(output[None])[0]

    def answers(self, probabilities: ArrayLike) -> list[dict[str, Any]]:
        """The same for every row of probabilities [N, K]."""
        made = np.asarray(probabilities, dtype=np.float64)
        names = [str(name) for name in self.labels.names]
        chosen = self.decision.choose(made)
        each = [dict(zip(names, row, strict=True)) for row in made.tolist()]
        if self.decision.multi_label:
            sets = [self.labels.decode(np.flatnonzero(row)) for row in chosen]
            return [{"labels": s, "probabilities": p} for s, p in zip(sets, each, strict=True)]
        sure = made[np.arange(len(made)), chosen].tolist()
        found = zip(self.labels.decode(chosen), sure, each, strict=True)
        return [{"label": name, "probability": p, "probabilities": all_} for name, p, all_ in found]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal codec."""
        return {
            "reader": self.reader.to_json(),
            "label": self.label,
            "labels": self.labels.to_json(),
            "decision": self.decision.to_json(),
        }

    @staticmethod
    def from_json(plain: Any) -> ClassifyCodec:
        """The codec `to_json` wrote. Raises BundleError for anything else."""
        if not isinstance(plain, Mapping) or set(plain) != {"reader", "label", "labels", "decision"}:
            raise BundleError("codec: want reader, label, labels and decision.")
        kind = plain["reader"].get("kind") if isinstance(plain["reader"], Mapping) else None
        if not isinstance(kind, str) or kind not in _READERS or not isinstance(plain["label"], str):
            raise BundleError(f"codec: got a reader of kind {kind!r}, want one of {', '.join(_READERS)}.")
        labels = Labels.from_json(plain["labels"])
        decision = Decision.from_json(plain["decision"], len(labels))
        return ClassifyCodec(_READERS[kind](plain["reader"]), plain["label"], labels, decision)


def fit_labels(rows: Records, column: str, multi_label: bool) -> Labels:
    """The labels of training rows, at least two different ones (of several at once: one). DataError."""
    values, owner = flattened(rows, column) if multi_label else (rows[column], list(range(len(rows))))
    labels = Labels.fit(values, column, lambda place: rows.place(owner[place]))
    if len(labels) < 2 and not multi_label:
        only = shown(labels.names[0])
        raise DataError(f"{column}: every training row is labelled {only}: want at least 2 different labels.")
    return labels


def flattened(rows: Records, column: str) -> tuple[list[Label], list[int]]:
    """All labels of a column of lists, and the row each stands in. Raises DataError for what is no list."""
    flat: list[Label] = []
    owner: list[int] = []
    for row, cell in enumerate(rows[column]):
        if cell is None or isinstance(cell, str | int | float) or not isinstance(cell, Sequence | np.ndarray):
            raise DataError(f"{column}: got {shown(cell)}, want a list of labels ({rows.place(row)}).")
        flat += list(cell)
        owner += [row] * len(cell)
    return flat, owner
