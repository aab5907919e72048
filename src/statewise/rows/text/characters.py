"""Text as single characters (Unicode code points)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from statewise.rows.text.stored import flag
from statewise.rows.text.vocabulary import UNK, Vocabulary

_UNKNOWN = "�"


@dataclass(frozen=True)
class Characters:
    """One number per character; `decode(encode(text))` is the text where every character is known."""

    vocabulary: Vocabulary
    lowercase: bool = False

    @staticmethod
    def fit(
        texts: Iterable[str], *, lowercase: bool = False, min_count: int = 1, max_size: int = 0
    ) -> Characters:
        """The characters of training rows."""
        read = (text.lower() for text in texts) if lowercase else texts
        return Characters(Vocabulary.fit(read, min_count=min_count, max_size=max_size), lowercase)

    @property
    def size(self) -> int:
        """Number of entries, special ones included."""
        return len(self.vocabulary)

    def tokens(self, text: str) -> list[str]:
        """The characters."""
        return list(text.lower() if self.lowercase else text)

    def encode(self, text: str) -> list[int]:
        """One number per character."""
        return self.vocabulary.encode(text.lower() if self.lowercase else text)

    def decode(self, ids: Iterable[int]) -> str:
        """The characters of numbers; "�" for an unknown one."""
        shown = (number for number in ids if number == UNK or number >= self.vocabulary.num_specials)
        return "".join(_UNKNOWN if number == UNK else self.vocabulary.items[number] for number in shown)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"kind": "characters", "lowercase": self.lowercase, "items": self.vocabulary.to_json()}

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Characters:
        """The tokeniser `to_json` wrote. Raises BundleError for anything else."""
        return Characters(Vocabulary.from_json(plain.get("items")), flag(plain, "lowercase"))
