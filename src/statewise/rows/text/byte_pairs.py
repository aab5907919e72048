"""Text as parts of words that training rows hold often: byte-pair encoding (Sennrich et al. 2016)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from statewise.core.errors import BundleError, ConfigError, DataError, MissingExtraError
from statewise.rows.text.stored import flag
from statewise.rows.text.vocabulary import SPECIALS, UNK, Vocabulary

_DEFAULT_SIZE = 8000
_BYTES = 256


@dataclass(frozen=True)
class BytePairs:
    """One number per part of a word, learned by joining the most frequent pair again and again.

    `byte_level` starts from the 256 bytes of UTF-8, so nothing is unknown and `decode(encode(text))` is the
    text; otherwise it starts from the characters of the training rows, and others are `<unk>`. A space is
    put before the text and taken off again, so that a word has one spelling wherever it stands. Needs
    `tokenizers` (extra "text"), whose own files are not used: items and merges say all.
    """

    vocabulary: Vocabulary
    merges: tuple[tuple[str, str], ...]  # in the order they were learned
    lowercase: bool = False
    byte_level: bool = True

    @staticmethod
    def fit(
        texts: Iterable[str],
        *,
        lowercase: bool = False,
        byte_level: bool = True,
        min_count: int = 1,
        max_size: int = 0,
    ) -> BytePairs:
        """Parts of the words of training rows, at most `max_size` with the special ones (0: 8,000).

        A pair must occur `min_count` times to be joined. The same rows give the same parts. Raises
        ConfigError for a size below the bytes, DataError when there is nothing to learn from.
        """
        size = max_size or _DEFAULT_SIZE
        least = len(SPECIALS) + (_BYTES if byte_level else 1)
        if size < least:
            raise ConfigError(f"max_size: got {size}, want at least {least} for byte-pair encoding.")
        pieces, merges = _learn(
            (_prepared(text, lowercase) for text in texts), byte_level, min_count, size - len(SPECIALS)
        )
        return BytePairs(Vocabulary((*SPECIALS, *pieces)), merges, lowercase, byte_level)

    @property
    def size(self) -> int:
        """Number of entries, special ones included."""
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """The numbers of a text."""
        ids: list[int] = self._coder.encode(_prepared(text, self.lowercase)).ids
        return ids

    def encode_on(self, text: str) -> list[int]:
        """The numbers of a text that goes on after another: no space is put before it."""
        ids: list[int] = self._coder.encode(_prepared(text, self.lowercase)[1:]).ids
        return ids

    def sample(self, text: str, rng: np.random.Generator, dropout: float = 0.1) -> list[int]:
        """The numbers of a text where each joining is left out with probability `dropout`, for training.

        BPE-dropout (Provilkov et al. 2020, algorithm 1): the same word comes in many cuts. All randomness is
        one draw from `rng`.
        """
        chance = random.Random(int(rng.integers(2**63)))
        words = self._coder.pre_tokenizer.pre_tokenize_str(_prepared(text, self.lowercase))
        return self.vocabulary.encode(
            part for word, _ in words for part in self._parts(word, chance, dropout)
        )

    def tokens(self, text: str) -> list[str]:
        """The parts, each with the space before it; "�" in a part that ends inside a character."""
        return [self._text([number]) for number in self.encode(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of numbers."""
        return self._text(ids).removeprefix(" ")

    def part(self, number: int) -> str:
        """One part, with the space before it."""
        return self._text([number])

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; merges as pairs of numbers of items."""
        number = {item: i for i, item in enumerate(self.vocabulary.items)}
        return {
            "kind": "bpe",
            "lowercase": self.lowercase,
            "byte_level": self.byte_level,
            "items": self.vocabulary.to_json(),
            "merges": [[number[left], number[right]] for left, right in self.merges],
        }

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> BytePairs:
        """The tokeniser `to_json` wrote. Raises BundleError for anything else."""
        vocabulary = Vocabulary.from_json(plain.get("items"))
        merges = plain.get("merges")
        if not isinstance(merges, (list, tuple)) or not all(map(_pair(len(vocabulary)), merges)):
            raise BundleError("tokenizer.merges: want pairs of numbers of items.")
        pairs = tuple((vocabulary.items[left], vocabulary.items[right]) for left, right in merges)
        known = set(vocabulary.items)
        if vocabulary.num_specials != len(SPECIALS) or any(a + b not in known for a, b in pairs):
            raise BundleError("tokenizer.merges: want pairs that join to items.")
        return BytePairs(vocabulary, pairs, flag(plain, "lowercase"), flag(plain, "byte_level"))

    def _text(self, ids: Iterable[int]) -> str:
        shown = [number for number in ids if number == UNK or number >= len(SPECIALS)]
        text: str = self._coder.decode(shown, skip_special_tokens=False)
        return text

    def _parts(self, word: str, chance: random.Random, dropout: float) -> list[str]:
        parts, ranks = list(word), self._ranks
        while len(parts) > 1:
            joinable = [
                (ranks[pair], i)
                for i, pair in enumerate(pairwise(parts))
                if pair in ranks and chance.random() >= dropout
            ]
            if not joinable:
                break
            _, i = min(joinable)
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return parts

    @cached_property
    def _ranks(self) -> dict[tuple[str, str], int]:
        return {pair: rank for rank, pair in enumerate(self.merges)}

    @cached_property
    def _coder(self) -> Any:
        index = {item: number for number, item in enumerate(self.vocabulary.items)}
        return _coder(index, list(self.merges), self.byte_level)


def _learn(
    texts: Iterable[str], byte_level: bool, min_count: int, size: int
) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The parts in the order they were learned (single ones first) and the pairs that were joined."""
    coder = _coder({}, [], byte_level)
    library = _library()
    alphabet = sorted(library.pre_tokenizers.ByteLevel.alphabet()) if byte_level else []
    trainer = library.trainers.BpeTrainer(
        vocab_size=size, min_frequency=min_count, initial_alphabet=alphabet, show_progress=False
    )
    seen = 0

    def counted() -> Iterable[str]:
        nonlocal seen
        for text in texts:
            seen += bool(text)
            yield text

    coder.train_from_iterator(counted(), trainer)
    if not seen:
        raise DataError("vocabulary: the training rows hold no item to learn from.")
    found: dict[str, int] = coder.get_vocab()
    merges = _merges(coder)
    return tuple(sorted(found, key=found.__getitem__)), merges


def _merges(coder: Any) -> tuple[tuple[str, str], ...]:
    import json

    pairs = json.loads(coder.to_str())["model"]["merges"]
    return tuple((left, right) for left, right in pairs)


def _coder(index: dict[str, int], merges: list[tuple[str, str]], byte_level: bool) -> Any:
    library = _library()
    unknown = None if byte_level else SPECIALS[UNK]
    coder = library.Tokenizer(library.models.BPE(vocab=index, merges=merges, unk_token=unknown))
    if byte_level:
        coder.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
        coder.decoder = library.decoders.ByteLevel()
    else:
        coder.pre_tokenizer = library.pre_tokenizers.Metaspace(prepend_scheme="never")
        coder.decoder = library.decoders.Metaspace(prepend_scheme="never")
    return coder


def _library() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise MissingExtraError("tokenizer='bpe'", "tokenizers", "text") from None
    return tokenizers


def _prepared(text: str, lowercase: bool) -> str:
    """The text after one space, in valid Unicode: half a pair of surrogates becomes "?"."""
    if not text:
        return ""
    clean = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    return " " + (clean.lower() if lowercase else clean)


def _pair(size: int) -> Any:
    def fits(pair: Any) -> bool:
        whole = isinstance(pair, (list, tuple)) and len(pair) == 2 and all(type(n) is int for n in pair)
        return whole and all(0 <= number < size for number in pair)

    return fits
