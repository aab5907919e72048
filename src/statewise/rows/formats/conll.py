"""CoNLL columns: one token per line, a blank line after each sentence (Tjong Kim Sang 2000 and after)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from statewise.core.errors import DataError
from statewise.rows.formats.columns import Columns
from statewise.rows.formats.opening import read_lines

_DOCUMENT = "-DOCSTART-"


def read_conll(path: Path) -> Columns:
    """One row per sentence, columns of lists: tokens (the first), labels (the last), column_2, column_3 …

    Cells are separated by tabs, or by spaces in a line without tabs. Lines of "-DOCSTART-" are left out.
    Raises DataError: "a.conll, line 17: 1 column, want 2 as in line 1.".
    """
    numbers, sentences = [], []
    for number, sentence in _sentences(path):
        numbers.append(number)
        sentences.append(list(zip(*sentence, strict=True)))
    width = len(sentences[0]) if sentences else 0
    columns = {f"column_{i + 1}": [list(sentence[i]) for sentence in sentences] for i in range(1, width)}
    named = {"tokens": [list(sentence[0]) for sentence in sentences]}
    if width > 1:
        named["labels"] = columns[f"column_{width}"]
    return Columns(named | columns, numbers)


def _sentences(path: Path) -> Iterator[tuple[int, list[list[str]]]]:
    """The line each sentence begins in, and its cells."""
    sentence: list[list[str]] = []
    start, first, width = 1, 0, 0
    for number, line in enumerate(read_lines(path), start=1):
        cells = [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()
        if not any(cells) or cells[0] == _DOCUMENT:
            if sentence:
                yield start, sentence
            sentence = []
            continue
        if not width:
            first, width = number, len(cells)
        if len(cells) != width or "" in cells:
            _refuse(path, number, cells, width, first)
        start = start if sentence else number
        sentence.append(cells)
    if sentence:
        yield start, sentence


def _refuse(path: Path, number: int, cells: list[str], width: int, first: int) -> None:
    place = f"{path}, line {number}"
    if "" in cells:
        raise DataError(f"{place}: column {cells.index('') + 1} is empty.")
    columns = f"{len(cells)} column{'s' if len(cells) > 1 else ''}"
    raise DataError(f"{place}: {columns}, want {width} as in line {first}.")
