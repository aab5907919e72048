"""Texts as arrays for a classifier: tokens, how they are spelled, and where a long text is cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import BundleError, ConfigError, StreamError, lookup, shown
from statewise.rows import cells
from statewise.rows.records import Records
from statewise.rows.subwords import WIDTH, Subwords
from statewise.rows.text import tokenizers
from statewise.rows.text.byte_pairs import BytePairs
from statewise.rows.text.n_grams import NGrams
from statewise.rows.text.tokenizers import Tokenizer, TokenizerConfig
from statewise.rows.text.vocabulary import UNK, Vocabulary
from statewise.rows.text.words import Words
from statewise.rows.word_vectors import WordVectors

Keep = Literal["head", "tail", "head_tail"]
HEAD_SHARE = 0.25  # of a long text's tokens with keep="head_tail" (Sun et al. 2019: the end says more)
Arrays = tuple[NDArray[Any], ...]


@dataclass(frozen=True)
class TextReader:
    """A column of texts to tokens [T], and with `subwords` their spelling [T, WIDTH] too.

    A text of more than `max_length` tokens is cut: its head, its tail, or a quarter of the head and the rest
    of the tail are kept. A text without a known token is one unknown one. `vector_size` is that of given
    word vectors: `vector_words` that only these know are the last ones of the vocabulary. `runs` are the runs
    of tokens that are known; the arrays do not hold them, as they follow from the tokens.
    """

    column: str
    tokenizer: Tokenizer
    max_length: int
    keep: Keep = "head"
    subwords: int = 0
    vector_size: int = 0
    vector_words: int = 0
    runs: NGrams | None = None

    @staticmethod
    def fit(
        rows: Records,
        column: str,
        config: TokenizerConfig,
        max_length: int,
        keep: Keep,
        subwords: int,
        vectors: WordVectors | None = None,
    ) -> TextReader:
        """The reader with the tokeniser of the training rows. ConfigError for vectors of what is no word."""
        tokenizer = tokenizers.fit(cells.texts(rows, column), config)
        if vectors is None:
            return TextReader(column, tokenizer, max_length, keep, subwords)
        if not isinstance(tokenizer, Words):
            raise ConfigError(f"vectors: these are of words; the tokenizer is '{config.kind}'.")
        known = set(tokenizer.vocabulary.items)
        more = [word for word in vectors.words if word not in known]
        wider = replace(tokenizer, vocabulary=Vocabulary((*tokenizer.vocabulary.items, *more)))
        return TextReader(column, wider, max_length, keep, subwords, vectors.size, len(more))

    def with_runs(self, rows: Records, longest: int, min_count: int) -> TextReader:
        """The reader with the runs of up to `longest` tokens that training rows hold `min_count` times."""
        texts = [self.encode(text)[0] for text in self.read(rows)]
        return replace(self, runs=NGrams.fit(texts, longest, self.tokenizer.size, min_count))

    def widened(self, other: TextReader) -> TextReader:
        """The reader that also knows the tokens of `other`."""
        tokenizer = tokenizers.widened(self.tokenizer, other.tokenizer)
        more = tokenizer.size - self.tokenizer.size
        if isinstance(tokenizer, BytePairs):  # other parts of words: the runs would be others
            return self if self.runs is not None else replace(self, tokenizer=tokenizer)
        words = self.vector_words + more if self.vector_size else 0
        runs = None if self.runs is None else self.runs.widened(tokenizer.size)
        return replace(self, tokenizer=tokenizer, vector_words=words, runs=runs)

    def aligned(self, vectors: WordVectors) -> NDArray[np.float32]:
        """Vectors by the number of their word [V, D], zero where there is none."""
        made = np.zeros((self.tokenizer.size, self.vector_size), dtype=np.float32)
        for word, vector in zip(vectors.words, vectors.values, strict=True):
            (number,) = (
                self.tokenizer.vocabulary.encode([word]) if isinstance(self.tokenizer, Words) else (UNK,)
            )
            if number != UNK:
                made[number] = vector
        return made

    def read(self, rows: Records) -> list[Any]:
        """The texts of checked rows."""
        return cells.texts(rows, self.column)

    def encode(self, text: str) -> Arrays:
        """One text as (ids [T],) or (ids [T], spelling [T, WIDTH]), T ≥ 1."""
        places = self._kept(ids := self.tokenizer.encode(text))
        kept = np.array([ids[place] for place in places] or [UNK], dtype=np.int64)
        if self._subwords is None:
            return (kept,)
        tokens = self.tokenizer.tokens(text)
        spelled = self._subwords.rows([tokens[place] for place in places])
        return kept, spelled if len(spelled) else np.zeros((1, WIDTH), np.int64)

    def cut(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than `max_length`."""
        return sum(len(self.tokenizer.encode(text)) > self.max_length for text in texts)

    def encode_item(self, item: Any) -> Arrays:
        """One token of a live text. Raises StreamError for what is not exactly one."""
        if not isinstance(item, str):
            raise StreamError(f"item: got {shown(item)}, want text: one token at a time.")
        tokens, ids = self.tokenizer.tokens(item), self.tokenizer.encode(item)
        if len(ids) != 1:
            raise StreamError(
                f"item: {shown(item)} is {len(ids)} tokens, want one: feed model.codec.tokens(text) in order."
            )
        one = np.array(ids[0], dtype=np.int64)
        return (one,) if self._subwords is None else (one, self._subwords.row(tokens[0]))

    @property
    def shapes(self) -> tuple[tuple[str, tuple[int, ...], str], ...]:
        """Name, shape and dtype of each array of one live step."""
        token = ("token", (), "int64")
        return (token,) if not self.subwords else (token, ("spelling", (WIDTH,), "int64"))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "kind": "text",
            "column": self.column,
            "tokenizer": self.tokenizer.to_json(),
            "max_length": self.max_length,
            "keep": self.keep,
            "subwords": self.subwords,
            "vector_size": self.vector_size,
            "vector_words": self.vector_words,
            "runs": None if self.runs is None else self.runs.to_json(),
        }

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> TextReader:
        """The reader `to_json` wrote. Raises BundleError for anything else."""
        try:
            check_cut(plain["max_length"], plain["keep"])
            column = plain["column"]
            sizes = plain["subwords"], plain["vector_size"], plain["vector_words"]
            if not isinstance(column, str) or any(type(size) is not int or size < 0 for size in sizes):
                raise BundleError("codec: want a column name and sizes of spelling and vectors.")
            tokenizer = tokenizers.from_json(plain["tokenizer"])
            runs = None if plain["runs"] is None else NGrams.from_json(plain["runs"])
        except KeyError as error:
            raise BundleError(f"codec: {error} is missing.") from None
        except ConfigError as error:
            raise BundleError(f"codec: {error}") from None
        return TextReader(column, tokenizer, plain["max_length"], plain["keep"], *sizes, runs)

    @cached_property
    def _subwords(self) -> Subwords | None:
        return Subwords(self.subwords) if self.subwords else None

    def _kept(self, ids: Sequence[int]) -> list[int]:
        """The places of the tokens that are kept."""
        return kept_places(len(ids), self.max_length, self.keep)


def kept_places(length: int, most: int, keep: Keep) -> list[int]:
    """The places, from 0, that are kept of a sequence of `length`.

    >>> kept_places(10, 4, "head_tail")
    [0, 7, 8, 9]
    """
    if length <= most:
        return list(range(length))
    head = {"head": most, "tail": 0, "head_tail": max(int(most * HEAD_SHARE), 1)}[keep]
    return [*range(head), *range(length - (most - head), length)]


def check_cut(max_length: Any, keep: Any) -> None:
    """Raise ConfigError for a length below 1 or another part to keep."""
    if type(max_length) is not int or max_length < 1:
        raise ConfigError(f"max_length: got {max_length!r}, want a whole number of at least 1.")
    lookup(dict.fromkeys(get_args(Keep)), str(keep), "keep")
