"""The spelling of a word as a few whole numbers: hashed runs of its letters, known or not."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import ConfigError

SHORTEST, LONGEST = 3, 5  # letters in a run, the word's two edges counted
WIDTH = 24  # runs of a word that are kept: all of those of a word of eight letters


@dataclass(frozen=True)
class Subwords:
    """Runs of 3 to 5 letters of a lower-case word with marked edges, each in one of `buckets` drawers.

    Numbers are 1 … buckets, 0 is no run; two runs may share a drawer. A word that was never seen is known by
    its runs. Source: Bojanowski et al. 2017, section 3.2, with CRC-32 as the hash.
    """

    buckets: int
    _known: dict[str, NDArray[np.int64]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.buckets < 1:
            raise ConfigError(f"subwords: got {self.buckets}, want at least 1 drawer, or 0 for none at all.")

    def row(self, word: str) -> NDArray[np.int64]:
        """The runs of one word, [WIDTH], 0 where there are no more."""
        found = self._known.get(word)
        if found is None:
            found = np.zeros(WIDTH, dtype=np.int64)
            numbers = [zlib.crc32(run.encode("utf-8", "replace")) % self.buckets + 1 for run in runs(word)]
            found[: len(numbers)] = numbers
            if len(self._known) < 50_000:
                self._known[word] = found
        return found

    def rows(self, words: list[str]) -> NDArray[np.int64]:
        """Words as [T, WIDTH]."""
        return np.stack([self.row(word) for word in words]) if words else np.zeros((0, WIDTH), np.int64)


def runs(word: str) -> list[str]:
    """At most WIDTH runs, short ones first.

    >>> runs("Dull")
    ['<du', 'dul', 'ull', 'll>', '<dul', 'dull', 'ull>', '<dull', 'dull>']
    """
    marked = f"<{word.lower()}>"
    sizes = range(SHORTEST, LONGEST + 1)
    return [marked[i : i + size] for size in sizes for i in range(len(marked) - size + 1)][:WIDTH]
