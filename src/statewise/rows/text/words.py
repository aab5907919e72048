"""Text as words: a plain splitter, or text that is split at white space already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from statewise.rows.text.stored import flag
from statewise.rows.text.vocabulary import Vocabulary

# Marks that belong to the letter before (accents, vowel signs, joiners), which \w leaves out.
_MARKS = (
    "\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff\u0e31\u0e34-\u0e4e\u200c\u200d"
)
_WORD = re.compile(rf"\d+(?:[.,]\d+)+|[\w{_MARKS}]+(?:['’][\w{_MARKS}]+)*|[^\w\s]")
_BEFORE = re.compile(r" ([.,;:!?…)\]}%»”])")
_AFTER = re.compile(r"([(\[{¿¡«“]) ")


def split(text: str) -> list[str]:
    """Words, numbers ("3.5") and single signs; an apostrophe inside stays ("don't").

    >>> split("Don't panic: 3.5 apples, okay?")
    ["Don't", 'panic', ':', '3.5', 'apples', ',', 'okay', '?']
    """
    return _WORD.findall(text)


def join(words: Iterable[str]) -> str:
    """Words as running text, signs set as in print.

    >>> join(["Two", "apples", "(", "red", ")", "."])
    'Two apples (red).'
    """
    return _AFTER.sub(r"\1", _BEFORE.sub(r"\1", " ".join(words)))


@dataclass(frozen=True)
class Words:
    """One number per word; rare and new words are `<unk>`.

    With `pretokenized` the text is split at white space alone and `decode` joins with single spaces;
    otherwise `split` and `join` find and set the signs.
    """

    vocabulary: Vocabulary
    lowercase: bool = False
    pretokenized: bool = False

    @staticmethod
    def fit(
        texts: Iterable[str],
        *,
        lowercase: bool = False,
        pretokenized: bool = False,
        min_count: int = 1,
        max_size: int = 0,
    ) -> Words:
        """The words of training rows."""
        read = (_words(text, lowercase, pretokenized) for text in texts)
        vocabulary = Vocabulary.fit(read, min_count=min_count, max_size=max_size)
        return Words(vocabulary, lowercase, pretokenized)

    @property
    def size(self) -> int:
        """Number of entries, special ones included."""
        return len(self.vocabulary)

    def tokens(self, text: str) -> list[str]:
        """The words, those that are not known too."""
        return _words(text, self.lowercase, self.pretokenized)

    def encode(self, text: str) -> list[int]:
        """One number per word."""
        return self.vocabulary.encode(self.tokens(text))

    def decode(self, ids: Iterable[int]) -> str:
        """The words of numbers as one text."""
        words = self.vocabulary.decode(ids)
        return " ".join(words) if self.pretokenized else join(words)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        flags = {"lowercase": self.lowercase, "pretokenized": self.pretokenized}
        return {"kind": "words", **flags, "items": self.vocabulary.to_json()}

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Words:
        """The tokeniser `to_json` wrote. Raises BundleError for anything else."""
        vocabulary = Vocabulary.from_json(plain.get("items"))
        return Words(vocabulary, flag(plain, "lowercase"), flag(plain, "pretokenized"))


def _words(text: str, lowercase: bool, pretokenized: bool) -> list[str]:
    if lowercase:
        text = text.lower()
    return text.split() if pretokenized else split(text)
