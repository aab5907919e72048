"""A word as whole numbers: itself, its shape, its beginnings and endings, its letters."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.core.config import from_mapping, to_mapping
from statewise.core.errors import BundleError, ConfigError
from statewise.rows.text.vocabulary import PAD, SPECIALS, Vocabulary

_TWO = SPECIALS[:2]  # padding and what is not known: nothing here begins or ends
_DIGIT = re.compile(r"\d")
_LONGEST_SHAPE = 10


@dataclass(frozen=True)
class WordSettings:
    """What is read off a word. `min_count` of words, shapes and affixes; `affixes` is the longest beginning
    and ending that is a feature (0: none); `letters` is how many characters are kept (0: none), of a longer
    word as many from both ends. Raises ConfigError.
    """

    min_count: int = 1
    min_affix_count: int = 3
    affixes: int = 4
    letters: int = 20

    def __post_init__(self) -> None:
        for name, low in (("min_count", 1), ("min_affix_count", 1), ("affixes", 0), ("letters", 0)):
            if getattr(self, name) < low:
                raise ConfigError(f"{name}: got {getattr(self, name)}, want {low} or more.")


@dataclass(frozen=True)
class WordFeatures:
    """Words to rows [word, shape, beginnings …, endings …, letters …] of whole numbers, and nothing else.

    The word is lower-cased, its digits are 0; the shape is what that hides ("Xx", "d-d", "@x"). Every row
    has the same `size`, so that a word is one row of a live stream.
    """

    settings: WordSettings
    words: Vocabulary
    counts: tuple[int, ...]  # of each word of the vocabulary in the training rows
    features: tuple[Vocabulary, ...]  # shape, beginnings, endings
    letters: Vocabulary
    _known: dict[str, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    @staticmethod
    def fit(sentences: Iterable[Sequence[str]], settings: WordSettings) -> WordFeatures:
        """The vocabularies of the training sentences."""
        counts = Counter(word for sentence in sentences for word in sentence)
        every = list(counts.elements())
        plain = [normal(word) for word in every]
        words = Vocabulary.fit([plain], min_count=settings.min_count, specials=_TWO)
        often = Counter(plain)
        columns = zip(*(_features(word, settings) for word in every), strict=True)
        features = tuple(
            Vocabulary.fit([column], min_count=settings.min_affix_count, specials=_TWO) for column in columns
        )
        return WordFeatures(
            settings,
            words,
            tuple(often[word] for word in words.items),
            features,
            Vocabulary.fit(every, specials=_TWO),
        )

    @property
    def size(self) -> int:
        """Numbers per word."""
        return 1 + len(self.features) + self.settings.letters

    @property
    def sizes(self) -> WordSizes:
        """The sizes of all vocabularies."""
        return WordSizes(
            len(self.words), tuple(map(len, self.features)), len(self.letters), self.settings.letters
        )

    def encode(self, sentence: Sequence[str]) -> NDArray[np.int64]:
        """A sentence as rows [T, size]."""
        if not sentence:
            return np.zeros((0, self.size), dtype=np.int64)
        return np.stack([self.row(word) for word in sentence])

    def row(self, word: str) -> NDArray[np.int64]:
        """One word as a row [size]. Rows of words of the training vocabulary are kept for the next time."""
        found = self._known.get(word)
        if found is None:
            found = self._row(word)
            if len(self._known) < 2 * len(self.words):
                self._known[word] = found
        return found

    def _row(self, word: str) -> NDArray[np.int64]:
        row = np.full(self.size, PAD, dtype=np.int64)
        row[0] = self.words.encode([normal(word)])[0]
        for place, (vocabulary, text) in enumerate(
            zip(self.features, _features(word, self.settings), strict=True), start=1
        ):
            row[place] = vocabulary.encode([text])[0]
        letters = self.letters.encode(_ends(word, self.settings.letters))
        start = 1 + len(self.features)
        row[start : start + len(letters)] = letters
        return row

    def widened(self, other: WordFeatures) -> WordFeatures:
        """These and, after them, what `other` knows besides: words (of count 0), affixes, letters."""
        words = self.words.widened(other.words)
        theirs = dict(zip(feature_names(other.settings), other.features, strict=True))
        features = tuple(
            vocabulary.widened(theirs.get(name, vocabulary))
            for name, vocabulary in zip(feature_names(self.settings), self.features, strict=True)
        )
        counts = (*self.counts, *[0] * (len(words) - len(self.words)))
        return WordFeatures(self.settings, words, counts, features, self.letters.widened(other.letters))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; `from_json` gives equal features."""
        return {
            "settings": to_mapping(self.settings),
            "words": self.words.to_json(),
            "counts": list(self.counts),
            "features": [vocabulary.to_json() for vocabulary in self.features],
            "letters": self.letters.to_json(),
        }

    @staticmethod
    def from_json(plain: Any) -> WordFeatures:
        """The features `to_json` wrote. Raises BundleError for anything else."""
        if not isinstance(plain, Mapping) or set(plain) != _KEYS:
            raise BundleError(f"words: want a table of {', '.join(sorted(_KEYS))}.")
        try:
            settings = from_mapping(WordSettings, plain["settings"], "words.settings")
        except ConfigError as error:
            raise BundleError(str(error)) from None
        words = Vocabulary.from_json(plain["words"])
        features, counts = plain["features"], plain["counts"]
        if not isinstance(features, list) or len(features) != 1 + 2 * settings.affixes:
            raise BundleError("words: want one list of features for the shape and for every affix.")
        if not isinstance(counts, list) or [type(count) for count in counts] != [int] * len(words):
            raise BundleError("words: want a whole number for every word's count.")
        read = tuple(Vocabulary.from_json(each) for each in features)
        return WordFeatures(settings, words, tuple(counts), read, Vocabulary.from_json(plain["letters"]))


_KEYS = {"settings", "words", "counts", "features", "letters"}


@dataclass(frozen=True)
class WordSizes:
    """How many words, shapes and affixes, and letters there are; `length` letters stand in a row.

    `extras` are the sizes of what stands in a row after the letters: features that the rows bring along. At
    the end stands the number of the word among `vectors` given ones, of `vector_size` each, if there are any.
    """

    words: int
    features: tuple[int, ...]
    letters: int
    length: int
    extras: tuple[int, ...] = ()
    vectors: int = 0
    vector_size: int = 0


def normal(word: str) -> str:
    """The word in lower case, every digit as 0: "Year1999" and "year2024" are one."""
    return _DIGIT.sub("0", word.lower())


def shape(word: str) -> str:
    """What kinds of letters follow each other: "iPhone4" is "xXxd", "U.S." is "X.X."; runs count once."""
    kinds = [_kind(letter) for letter in word]
    runs = [kind for place, kind in enumerate(kinds) if place == 0 or kind != kinds[place - 1]]
    # "I" and "USA" differ: one capital alone, and several.
    several = "XX" if len(word) > 1 and word.isupper() and runs == ["X"] else "".join(runs)
    return several[:_LONGEST_SHAPE]


def feature_names(settings: WordSettings) -> list[str]:
    """What the features of a word are, in the order of its row.

    >>> feature_names(WordSettings(affixes=2))
    ['shape', 'first 1', 'first 2', 'last 1', 'last 2']
    """
    lengths = range(1, settings.affixes + 1)
    return ["shape", *(f"first {length}" for length in lengths), *(f"last {length}" for length in lengths)]


def _kind(letter: str) -> str:
    if letter.isdigit():
        return "d"
    if letter.isalpha():
        return "X" if letter.isupper() else "x"
    return letter


def _features(word: str, settings: WordSettings) -> list[str]:
    plain = normal(word)
    lengths = range(1, settings.affixes + 1)
    return [shape(word), *(plain[:length] for length in lengths), *(plain[-length:] for length in lengths)]


def _ends(word: str, most: int) -> str:
    """The word, or as many letters from both of its ends."""
    if len(word) <= most:
        return word
    head = (most + 1) // 2
    return word[:head] + (word[head - most :] if most > head else "")
