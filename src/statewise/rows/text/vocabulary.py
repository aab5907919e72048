"""Which whole number stands for which item: characters, words, parts of words or events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from statewise.core.errors import BundleError, ConfigError, DataError

PAD, UNK, BOS, EOS = 0, 1, 2, 3
SPECIALS = ("<pad>", "<unk>", "<bos>", "<eos>")


@dataclass(frozen=True)
class Vocabulary:
    """Items by their number, the special ones first: `<pad>` 0, `<unk>` 1, `<bos>` 2, `<eos>` 3.

    Every item has a number: one that was not seen in training has that of `<unk>`. A word of the data that
    is spelled like a special item is unknown too, so no text can end a sequence or look like padding.
    """

    items: tuple[str, ...]

    @staticmethod
    def fit(
        sequences: Iterable[Iterable[str]],
        *,
        min_count: int = 1,
        max_size: int = 0,
        specials: Sequence[str] = SPECIALS,
    ) -> Vocabulary:
        """The items of the training rows, most frequent first, ties in the order of the alphabet.

        Items seen less than `min_count` times are left out; `max_size` is the most entries, special ones
        included (0: no limit). `specials` are the first of SPECIALS: two for what never begins or ends.
        Raises DataError when there is nothing to learn from.
        """
        _check(min_count, max_size, specials)
        counts: Counter[str] = Counter()
        for sequence in sequences:
            counts.update(sequence)
        if not counts:
            raise DataError("vocabulary: the training rows hold no item to learn from.")
        ranked = sorted((-count, item) for item, count in counts.items() if count >= min_count)
        kept = [item for _, item in ranked if item not in SPECIALS and _is_text(item)]
        if max_size:
            kept = kept[: max_size - len(specials)]
        return Vocabulary((*specials, *kept))

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def num_specials(self) -> int:
        """How many items at the start are special."""
        return sum(item in SPECIALS for item in self.items[: len(SPECIALS)])

    @cached_property
    def index(self) -> dict[str, int]:
        """Number of every item that a text may hold; `<unk>` is one, the other special items are not."""
        known = {item: number for number, item in enumerate(self.items)}
        return {item: number for item, number in known.items() if number == UNK or item not in SPECIALS}

    def encode(self, items: Iterable[str]) -> list[int]:
        """The number of each item; that of `<unk>` for one that is not known."""
        index = self.index
        return [index.get(item, UNK) for item in items]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The items of numbers; padding, `<bos>` and `<eos>` are left out, `<unk>` stays as it is."""
        specials = self.num_specials
        return [self.items[number] for number in ids if number == UNK or number >= specials]

    def widened(self, other: Vocabulary) -> Vocabulary:
        """These items and, after them, those that `other` knows besides: no number changes."""
        known = {*self.items, *SPECIALS}
        return Vocabulary((*self.items, *(item for item in other.items if item not in known)))

    def to_json(self) -> list[str]:
        """Plain JSON values; `from_json` gives an equal vocabulary."""
        return list(self.items)

    @staticmethod
    def from_json(plain: Any) -> Vocabulary:
        """The vocabulary `to_json` wrote. Raises BundleError for anything else."""
        if not isinstance(plain, (list, tuple)) or not all(isinstance(item, str) for item in plain):
            raise BundleError("vocabulary: want a list of texts.")
        if tuple(plain[:2]) != SPECIALS[:2] or len(set(plain)) < len(plain):
            raise BundleError("vocabulary: want '<pad>' and '<unk>' first, and every item once.")
        return Vocabulary(tuple(plain))


def _check(min_count: int, max_size: int, specials: Sequence[str]) -> None:
    if min_count < 1:
        raise ConfigError(f"min_count: got {min_count}, want at least 1.")
    if max_size and max_size <= len(specials):
        want = f"want more than the {len(specials)} special entries, or 0 for no limit"
        raise ConfigError(f"max_size: got {max_size}, {want}.")
    if tuple(specials) not in (SPECIALS[:2], SPECIALS[:3], SPECIALS):
        raise ConfigError(f"specials: got {list(specials)}, want the first 2, 3 or 4 of {list(SPECIALS)}.")


def _is_text(item: str) -> bool:
    """False for half a character (a lone surrogate, as broken JSON has it), which no file can hold."""
    return item.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in item)
