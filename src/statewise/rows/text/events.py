"""Sequences of named events (things played, bought, visited) as numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from statewise.rows.text.vocabulary import UNK, Vocabulary


@dataclass(frozen=True)
class Events:
    """One number per kind of event; kinds that were rare or not seen in training are `<unk>`."""

    vocabulary: Vocabulary

    @staticmethod
    def fit(sequences: Iterable[Iterable[str]], *, min_count: int = 1, max_size: int = 0) -> Events:
        """The kinds of events of training rows."""
        return Events(Vocabulary.fit(sequences, min_count=min_count, max_size=max_size))

    @property
    def size(self) -> int:
        """Number of entries, special ones included."""
        return len(self.vocabulary)

    def tokens(self, sequence: Iterable[Any]) -> list[str]:
        """The names of events, those that are not known too."""
        return [str(event) for event in sequence]

    def encode(self, sequence: Iterable[Any]) -> list[int]:
        """One number per event."""
        return self.vocabulary.encode(self.tokens(sequence))

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The events of numbers; marks of beginning and end say nothing."""
        specials = self.vocabulary.num_specials
        return [self.vocabulary.items[number] for number in ids if number == UNK or number >= specials]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values with the kind."""
        return {"kind": "events", "items": self.vocabulary.to_json()}

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Events:
        """The events `to_json` wrote. Raises BundleError for anything else."""
        return Events(Vocabulary.from_json(plain.get("items")))
