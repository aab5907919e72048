"""Vectors of words in a text file: a word and its numbers per line, as GloVe and word2vec write them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import DataError
from statewise.rows.formats.opening import read_lines


class WordVectors(NamedTuple):
    """Different words, and a vector of each."""

    words: tuple[str, ...]
    values: NDArray[np.float32]  # [N, D]

    @property
    def size(self) -> int:
        """Numbers per word."""
        return int(self.values.shape[1])

    def beside(self, *more: NDArray[np.float32]) -> WordVectors:
        """The vectors with further numbers [N, D] of every word after their own."""
        return WordVectors(self.words, np.concatenate((self.values, *more), axis=1, dtype=np.float32))


def read_vectors(path: str | os.PathLike[str]) -> WordVectors:
    """The vectors in a file (plain, .gz or .xz); a first line with their count and size is left out.

    Of a word that stands there twice the first vector is taken. Raises DataError naming the line.
    """
    lines = read_lines(Path(path))
    start = 1 if lines and _counts(lines[0]) else 0
    found: dict[str, NDArray[np.float32]] = {}
    size = 0
    for number, line in enumerate(lines[start:], start=start + 1):
        word, *numbers = line.rstrip().split(" ")
        size = size or len(numbers)
        if not numbers or len(numbers) != size:
            raise DataError(f"{path}, line {number}: got {len(numbers)} numbers, want {size or 'some'}.")
        try:
            vector = np.array(numbers, dtype=np.float32)
        except ValueError:
            raise DataError(f"{path}, line {number}: want a word and {size} numbers.") from None
        found.setdefault(word, vector)
    if not found:
        raise DataError(f"{path}: holds no vector.")
    return WordVectors(tuple(found), np.stack(list(found.values())))


def _counts(line: str) -> bool:
    """Whether a line is the head that word2vec writes: two whole numbers."""
    parts = line.split()
    return len(parts) == 2 and all(part.isdigit() for part in parts)


def write_vectors(path: str | os.PathLike[str], vectors: WordVectors) -> None:
    """Write `vectors` in the form that `read_vectors` reads, numbers to four digits after the point."""
    rows = zip(vectors.words, vectors.values, strict=True)
    lines = [f"{word} {' '.join(f'{value:.4f}' for value in row)}" for word, row in rows]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
