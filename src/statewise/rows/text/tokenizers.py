"""Text to numbers and back: characters, words and byte-pair encoding, fitted on training rows only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from statewise.core.errors import BundleError, ConfigError, lookup
from statewise.rows.text.byte_pairs import BytePairs
from statewise.rows.text.characters import Characters
from statewise.rows.text.words import Words


@dataclass(frozen=True)
class TokenizerConfig:
    """How text becomes numbers: one of TOKENIZERS and its settings."""

    kind: str = "words"
    lowercase: bool = False
    pretokenized: bool = False  # words: the text is split at white space only
    min_count: int = 1  # what the training rows hold less often is unknown
    max_size: int = 0  # most entries, the four special ones included; 0: no limit (bpe: 8,000)
    byte_level: bool = True  # bpe: of bytes, so nothing is unknown; else of characters, with <unk>

    def __post_init__(self) -> None:
        lookup(TOKENIZERS, self.kind, "tokenizer")
        if self.min_count < 1:
            raise ConfigError(f"min_count: got {self.min_count}, want at least 1.")
        if self.max_size < 0 or 0 < self.max_size <= 4:
            raise ConfigError(f"max_size: got {self.max_size}, want more than 4, or 0 for no limit.")


class Tokenizer(Protocol):
    """What every tokeniser offers: immutable, plain values in the bundle, and it never fails on a text."""

    @property
    def size(self) -> int:
        """Number of entries, the special ones `<pad>` 0, `<unk>` 1, `<bos>` 2, `<eos>` 3 included."""

    def encode(self, text: str) -> list[int]:
        """The numbers of a text, without `<bos>` and `<eos>`; empty for an empty text."""

    def tokens(self, text: str) -> list[str]:
        """What the numbers of `encode` stand for, one text each."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of numbers; padding, `<bos>` and `<eos>` say nothing."""

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values with the kind; `from_json` gives an equal tokeniser."""


TOKENIZERS: dict[str, Callable[[Iterable[str], TokenizerConfig], Tokenizer]] = {
    "characters": lambda texts, config: Characters.fit(
        texts, lowercase=config.lowercase, min_count=config.min_count, max_size=config.max_size
    ),
    "words": lambda texts, config: Words.fit(
        texts,
        lowercase=config.lowercase,
        pretokenized=config.pretokenized,
        min_count=config.min_count,
        max_size=config.max_size,
    ),
    "bpe": lambda texts, config: BytePairs.fit(
        texts,
        lowercase=config.lowercase,
        byte_level=config.byte_level,
        min_count=config.min_count,
        max_size=config.max_size,
    ),
}

_READERS: dict[str, Callable[[Mapping[str, Any]], Tokenizer]] = {
    "characters": Characters.from_json,
    "words": Words.from_json,
    "bpe": BytePairs.from_json,
}


def fit(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """The tokeniser of `config`, fitted on `texts`: those of training rows only."""
    return TOKENIZERS[config.kind](texts, config)


def widened(tokenizer: Tokenizer, other: Tokenizer) -> Tokenizer:
    """`tokenizer` with the entries that `other` has besides, where both read texts in the same way.

    Byte pairs are those of `other`: the parts of words belong together, and any text can be written in them.
    """
    if isinstance(tokenizer, BytePairs) and isinstance(other, BytePairs):
        alike = (tokenizer.lowercase, tokenizer.byte_level) == (other.lowercase, other.byte_level)
        return other if alike else tokenizer
    for kind in (Characters, Words):
        if isinstance(tokenizer, kind) and isinstance(other, kind):
            alike = tokenizer == replace(other, vocabulary=tokenizer.vocabulary)
            both = tokenizer.vocabulary.widened(other.vocabulary)
            return replace(tokenizer, vocabulary=both) if alike else tokenizer
    return tokenizer


def items(tokenizer: Tokenizer) -> tuple[str, ...]:
    """Every entry, by its number."""
    assert isinstance(tokenizer, BytePairs | Characters | Words)
    return tokenizer.vocabulary.items


def from_json(plain: Any) -> Tokenizer:
    """The tokeniser that `to_json` wrote. Raises BundleError for anything else."""
    kind = plain.get("kind") if isinstance(plain, Mapping) else None
    if not isinstance(kind, str) or kind not in _READERS:
        raise BundleError(f"tokenizer: got kind {kind!r}, want one of {', '.join(_READERS)}.")
    return _READERS[kind](plain)
