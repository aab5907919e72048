"""Text or events to numbers and back, for models of what comes next; no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import BundleError, ConfigError, DataError, StreamError, shown
from statewise.rows import cells
from statewise.rows.records import Records
from statewise.rows.text import tokenizers
from statewise.rows.text.byte_pairs import BytePairs
from statewise.rows.text.characters import Characters
from statewise.rows.text.events import Events
from statewise.rows.text.tokenizers import Tokenizer, TokenizerConfig
from statewise.rows.text.vocabulary import BOS, EOS, PAD, UNK
from statewise.rows.text.words import Words

Ids = NDArray[np.int64]
_NEVER = (PAD, UNK, BOS)
_ONE = {Characters: "one character", Words: "one word", BytePairs: "one part of a word", Events: "one event"}


@dataclass(frozen=True)
class Corpus:
    """Encoded sequences; `letters` counts their characters, line ends included (of events: the events)."""

    sequences: tuple[Ids, ...]
    letters: int

    @property
    def tokens(self) -> int:
        """How many there are to predict."""
        return sum(len(sequence) for sequence in self.sequences)


@dataclass(frozen=True)
class GenerateCodec:
    """Sequences to numbers: one running text, or with `documents` sequences that begin and end.

    `start` stands before every sequence: of documents `<eos>`, which also ends them, of running text the end
    of a line. Words end a line with `<eos>`. `suggestions` is how many next items a live session names.
    """

    reader: Tokenizer | Events
    documents: bool = False
    suggestions: int = 5

    @property
    def size(self) -> int:
        """Number of entries, special ones included."""
        return self.reader.size

    @property
    def events(self) -> bool:
        """Whether sequences are lists of events, not texts."""
        return isinstance(self.reader, Events)

    @property
    def items(self) -> tuple[str, ...]:
        """Every entry, by its number."""
        reader = self.reader
        return reader.vocabulary.items if isinstance(reader, Events) else tokenizers.items(reader)

    def widened(self, other: GenerateCodec) -> GenerateCodec:
        """The codec that also knows the items of `other`."""
        if isinstance(self.reader, Events) and isinstance(other.reader, Events):
            return replace(self, reader=Events(self.reader.vocabulary.widened(other.reader.vocabulary)))
        if isinstance(self.reader, Events) or isinstance(other.reader, Events):
            return self
        return replace(self, reader=tokenizers.widened(self.reader, other.reader))

    @cached_property
    def start(self) -> int:
        """What stands before the first item."""
        if not self.documents and not isinstance(self.reader, Words | Events):
            line_end = self.reader.encode("\n")
            if line_end and line_end[-1] != UNK:
                return line_end[-1]
        return EOS

    def corpus(self, sequences: Sequence[Any]) -> Corpus:
        """Texts or lists of events, encoded; running text as one sequence."""
        encoded = [self.encode(sequence, whole=True) for sequence in sequences]
        letters = sum(len(sequence) + self.documents for sequence in sequences)
        return Corpus(tuple(np.asarray(ids, dtype=np.int64) for ids in encoded), letters)

    def encode(self, sequence: Any, *, whole: bool = False) -> list[int]:
        """The numbers of a text, or of a list of events; a `whole` document ends with `<eos>`."""
        end = [EOS] if whole and self.documents else []
        if isinstance(self.reader, Events):
            return [*self.reader.encode(_event_list(sequence)), *end]
        if not isinstance(sequence, str):
            raise ConfigError(f"text: got {shown(sequence)}, want a text.")
        if isinstance(self.reader, Words) and not self.documents:
            return self._lines(self.reader, sequence)
        if isinstance(self.reader, BytePairs) and not self.documents:
            return self._after_line(self.reader, sequence)
        return [*self.reader.encode(sequence), *end]

    def decode(self, ids: Iterable[int]) -> Any:
        """The text of numbers, or the list of events."""
        if not isinstance(self.reader, Words) or self.documents:
            return self.reader.decode(ids)
        lines: list[list[int]] = [[]]
        for number in ids:
            if number == EOS:
                lines.append([])
            else:
                lines[-1].append(number)
        return "\n".join(self.reader.decode(line) for line in lines)

    def token(self, number: int) -> str:
        """One item as it stands in a text: of byte pairs with the space before it, of words without."""
        if number == EOS:
            return "<eos>" if self.documents or not isinstance(self.reader, Words) else "\n"
        return "<unk>" if number == UNK else self.surfaces[number]

    def tokens(self, sequence: Any) -> list[str]:
        """What the numbers of `encode` stand for; items that are not known as they are."""
        ids, reader = self.encode(sequence), self.reader
        if isinstance(reader, BytePairs):
            return [self.token(number) for number in ids]
        if not isinstance(reader, Words) or self.documents:
            return reader.tokens(sequence)
        first, *rest = sequence.split("\n")
        found = reader.tokens(first)
        for line in rest:
            found += ["\n", *reader.tokens(line)]
        return found

    @cached_property
    def surfaces(self) -> tuple[str, ...]:
        """Every item as it stands in a text; nothing for what is never written."""
        reader: Any = self.reader
        if isinstance(reader, BytePairs):
            return ("",) * (EOS + 1) + tuple(reader.part(number) for number in range(EOS + 1, self.size))
        return ("",) * (EOS + 1) + tuple(reader.vocabulary.items[EOS + 1 :])

    def encode_item(self, item: Any) -> tuple[np.ndarray, ...]:
        """The number [] of one item of a live session. Raises StreamError."""
        ids = [EOS] if item == "<eos>" else [UNK] if item == "<unk>" else self._item_ids(item)
        if len(ids) != 1:
            raise StreamError(f"item: got {shown(item)}, want {_ONE[type(self.reader)]}.")
        return (np.asarray(ids[0], dtype=np.int64),)

    def decode_output(self, output: np.ndarray) -> dict[str, Any]:
        """Of [1 + V], surprisal in nats and log-probabilities: bits of the item, and what may come next."""
        bits, log_probs = float(output[0]) / math.log(2), output[1:]
        return {"bits": round(max(bits, 0.0), 6), "next": self.likeliest(log_probs, self.suggestions)}

    def likeliest(self, log_probs: np.ndarray, k: int) -> list[dict[str, Any]]:
        """The `k` likeliest items after log-probabilities [V], with their probabilities."""
        scores = np.array(log_probs, dtype=np.float64)
        scores[list(self.never_drawn)] = -np.inf
        order = np.argsort(-scores, kind="stable")[: min(k, len(scores) - len(self.never_drawn))]
        return [{"item": self.token(int(i)), "probability": float(np.exp(scores[i]))} for i in order]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal codec."""
        return {
            "reader": self.reader.to_json(),
            "documents": self.documents,
            "suggestions": self.suggestions,
        }

    @staticmethod
    def from_json(plain: Any) -> GenerateCodec:
        """The codec `to_json` wrote. Raises BundleError for anything else."""
        if not isinstance(plain, Mapping) or set(plain) != {"reader", "documents", "suggestions"}:
            raise BundleError("codec: want reader, documents and suggestions.")
        reader, documents, suggestions = plain["reader"], plain["documents"], plain["suggestions"]
        if not isinstance(documents, bool) or type(suggestions) is not int or suggestions < 1:
            raise BundleError("codec: want documents true or false and a number of suggestions.")
        if isinstance(reader, Mapping) and reader.get("kind") == "events":
            return GenerateCodec(Events.from_json(reader), documents, suggestions)
        return GenerateCodec(tokenizers.from_json(reader), documents, suggestions)

    @cached_property
    def never_drawn(self) -> tuple[int, ...]:
        """What a model does not write: special items, unless they end a line or a document."""
        ends = self.documents or isinstance(self.reader, Words)
        return _NEVER if ends else (*_NEVER, EOS)

    def _item_ids(self, item: Any) -> list[int]:
        if isinstance(self.reader, Events):
            return self.reader.encode([item]) if isinstance(item, str | int) else []
        if not isinstance(item, str):
            return []
        if isinstance(self.reader, BytePairs):  # the space before a word belongs to it
            number = self._parts.get(item)
            return [] if number is None else [number]
        return self.encode(item)

    @cached_property
    def _parts(self) -> dict[str, int]:
        return {surface: number for number, surface in enumerate(self.surfaces) if surface}

    def _after_line(self, reader: BytePairs, text: str) -> list[int]:
        """Byte pairs of a text as it stands after the end of a line: no space goes before its first word."""
        ids, before, read = reader.encode(f"\n{text}"), " \n", ""
        for place, number in enumerate(ids):
            if read == before:
                return ids[place:]
            read += self.surfaces[number]
        return [] if read == before else reader.encode(text)

    @staticmethod
    def _lines(reader: Words, text: str) -> list[int]:
        """Words of running text, `<eos>` for the end of each line."""
        first, *rest = text.split("\n")
        ids = reader.encode(first)
        for line in rest:
            ids += [EOS, *reader.encode(line)]
        return ids


def fit_text(texts: Sequence[str], config: TokenizerConfig, documents: bool) -> GenerateCodec:
    """The codec of texts, from training rows only."""
    return GenerateCodec(tokenizers.fit(texts, config), documents)


def event_sequences(rows: Records, items: str, by: str) -> list[list[str]]:
    """The sequences of a log: lists of events in column `items`, or one event per row of the sequence `by`.

    Rows of one sequence may lie apart; their order counts. Raises DataError.
    """
    if not by:
        return cells.tokens(rows, items)
    found: dict[Any, list[str]] = {}
    for row, (key, event) in enumerate(zip(rows[by], rows[items], strict=True)):
        for name, value in ((by, key), (items, event)):
            if value is None or value != value or isinstance(value, list | dict):
                raise DataError(f"{name}: got {shown(value)}, want one value ({rows.place(row)}).")
        found.setdefault(key, []).append(str(event))
    return list(found.values())


def _event_list(sequence: Any) -> Iterable[Any]:
    if isinstance(sequence, str) or not isinstance(sequence, Sequence):
        raise ConfigError(f"events: got {shown(sequence)}, want a list of events.")
    return sequence
