"""CoNLL-U, the format of Universal Dependencies: ten columns between tabs, comments, ranges."""

from __future__ import annotations

from pathlib import Path

from statewise.core.errors import DataError
from statewise.rows.formats.columns import Columns
from statewise.rows.formats.opening import read_lines

_NAMES = ("tokens", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_WIDTH = 10


def read_conllu(path: Path) -> Columns:
    """One row per sentence, columns of lists: tokens (the syntactic words), lemma, upos, xpos, feats, head …

    Ranges of words that are written as one ("3-4  don't") and empty nodes ("5.1") are left out; comments too.
    Raises DataError: "a.conllu, line 17: 3 columns, want 10 between tabs.".
    """
    columns: dict[str, list[list[str]]] = {name: [] for name in _NAMES}
    numbers: list[int] = []
    inside = False
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip() or line.startswith("#"):
            inside = inside and line.startswith("#")
            continue
        cells = line.split("\t")
        if len(cells) != _WIDTH:
            held = f"{len(cells)} column{'s' if len(cells) > 1 else ''}"
            raise DataError(f"{path}, line {number}: {held}, want {_WIDTH} between tabs.")
        if "-" in cells[0] or "." in cells[0]:
            continue
        if not inside:
            numbers.append(number)
            for column in columns.values():
                column.append([])
        inside = True
        for name, cell in zip(_NAMES, cells[1:], strict=True):
            columns[name][-1].append(cell)
    return Columns(dict(columns), numbers)
