"""Source and target texts to numbers and back, for a translator: no torch, plain values in the bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import BundleError
from statewise.rows.cells import texts
from statewise.rows.records import Records
from statewise.rows.text import tokenizers
from statewise.rows.text.byte_pairs import BytePairs
from statewise.rows.text.tokenizers import Tokenizer, TokenizerConfig
from statewise.rows.text.vocabulary import BOS, EOS, SPECIALS, UNK

Ids = NDArray[np.int64]
_KEYS = {"source", "target", "shared", "columns", "max_length", "longest", "room"}
_PER_TOKEN = 2  # target tokens that a source token may have, besides `room`
_END, _UNKNOWN = SPECIALS[EOS], SPECIALS[UNK]


@dataclass(frozen=True)
class TranslateCodec:
    """The tokenisers of both sides (one where they are `shared`), and how long a text may be.

    Of a longer text the first `max_length` tokens are read. `longest` counts the target tokens of the longest
    training row, and no training row has more than 2 per source token and `room` besides: no translation is
    longer than that.
    """

    source: Tokenizer
    target: Tokenizer
    shared: bool
    columns: tuple[str, str]
    max_length: int
    longest: int
    room: int

    def limit(self, source_tokens: int) -> int:
        """The most tokens of a translation of a source of so many, its end counted."""
        return min(self.longest, _PER_TOKEN * source_tokens + self.room)

    def sources(self, lines: Sequence[str]) -> list[Ids]:
        """Every source text as numbers [S] that end with `<eos>`, so that none is empty."""
        return [_ids([*self.source.encode(line)[: self.max_length], EOS]) for line in lines]

    def targets(self, lines: Sequence[str]) -> list[Ids]:
        """Every target text as numbers [T], without marks at its ends."""
        return [_ids(self.target.encode(line)[: self.max_length]) for line in lines]

    def resampled(
        self, lines: Sequence[str], side: str, dropout: float, rng: np.random.Generator
    ) -> list[Ids]:
        """Texts as numbers, cut into parts anew (`BytePairs.sample`); the target's without an end mark."""
        coder = self.source if side == "source" else self.target
        assert isinstance(coder, BytePairs)
        parts = (coder.sample(line, rng, dropout)[: self.max_length] for line in lines)
        return [_ids([*ids, EOS] if side == "source" else ids) for ids in parts]

    def source_tokens(self, line: str) -> list[str]:
        """What the numbers of a source stand for, the end too: the columns of an alignment."""
        return [*self.source.tokens(line)[: self.max_length], _END]

    def target_tokens(self, ids: Sequence[int]) -> list[str]:
        """What written numbers stand for, and the end: the rows of an alignment."""
        return [*(self.target.decode([number]) for number in ids), _END]

    def decode(self, ids: Sequence[int], instead: Sequence[str] = ()) -> str:
        """The text of numbers; the words `instead` stand for its unknown words, in order."""
        first, *rest = self.target.decode(ids).split(_UNKNOWN)
        words = [*instead, *[_UNKNOWN] * len(rest)]
        return first + "".join(word + part for word, part in zip(words, rest, strict=False))

    def cut(self, rows: Records) -> int:
        """How many source texts are longer than what is read of them."""
        return sum(len(self.source.encode(line)) > self.max_length for line in texts(rows, self.columns[0]))

    def widened(self, other: TranslateCodec) -> TranslateCodec:
        """The codec that also knows the items of `other`; its lengths are to be `measured` again."""
        if self.shared != other.shared:
            return self
        source = tokenizers.widened(self.source, other.source)
        target = source if self.shared else tokenizers.widened(self.target, other.target)
        return replace(self, source=source, target=target)

    def measured(self, rows: Records) -> TranslateCodec:
        """The codec with the lengths of training rows."""
        read, written = (
            np.array([min(len(coder.encode(line)), self.max_length) for line in texts(rows, column)])
            for coder, column in zip((self.source, self.target), self.columns, strict=True)
        )
        room = max(int((written - _PER_TOKEN * (read + 1)).max()), 0)
        return replace(self, longest=int(written.max()), room=room)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives an equal codec."""
        return {
            "source": self.source.to_json(),
            "target": None if self.shared else self.target.to_json(),
            "shared": self.shared,
            "columns": list(self.columns),
            "max_length": self.max_length,
            "longest": self.longest,
            "room": self.room,
        }

    @staticmethod
    def from_json(plain: Any) -> TranslateCodec:
        """The codec `to_json` wrote. Raises BundleError for anything else."""
        if not isinstance(plain, Mapping) or set(plain) != _KEYS:
            raise BundleError(f"codec: want a table of {', '.join(sorted(_KEYS))}.")
        columns, counts = plain["columns"], [plain[name] for name in ("max_length", "longest", "room")]
        if not isinstance(columns, list | tuple) or [type(name) for name in columns] != [str, str]:
            raise BundleError("codec: want the names of two columns.")
        if any(type(count) is not int for count in counts) or type(plain["shared"]) is not bool:
            raise BundleError(
                "codec: want whole numbers max_length, longest, room, and shared as true or false."
            )
        source = tokenizers.from_json(plain["source"])
        target = source if plain["shared"] else tokenizers.from_json(plain["target"])
        return TranslateCodec(source, target, plain["shared"], (columns[0], columns[1]), *counts)


def fit_codec(
    rows: Records, columns: tuple[str, str], config: TokenizerConfig, *, shared: bool, max_length: int
) -> TranslateCodec:
    """The codec of training rows. Raises DataError for rows that hold no text."""
    sources, targets = (texts(rows, name) for name in columns)
    if shared:
        source = target = tokenizers.fit([*sources, *targets], config)
    else:
        source, target = tokenizers.fit(sources, config), tokenizers.fit(targets, config)
    return TranslateCodec(source, target, shared, columns, max_length, longest=0, room=0).measured(rows)


def begun(ids: Ids) -> Ids:
    """A target [T] as the decoder reads it, [T + 1]: after `<bos>`."""
    return np.concatenate((np.array([BOS]), ids))


def ended(ids: Ids) -> Ids:
    """A target [T] as the decoder has to write it, [T + 1]: before `<eos>`."""
    return np.concatenate((ids, np.array([EOS])))


def _ids(numbers: Sequence[int]) -> Ids:
    return np.asarray(numbers, dtype=np.int64)
