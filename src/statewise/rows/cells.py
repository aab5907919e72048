"""What the cells of records must hold: texts, lists of tokens, as many labels as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from statewise.core.errors import DataError, shown
from statewise.rows.records import Records


def texts(rows: Records, name: str, *, empty: bool = False) -> list[str]:
    """The texts of column `name`, blank ones refused unless `empty`.

    Raises DataError: "text: no text (train.jsonl, line 17).", "text: got 5, want text (row 3, and 2 more).".
    """
    values = rows[name]
    _refuse(rows, name, [_wrong_text(value, empty) for value in values])
    return ["" if _absent(value) else value for value in values]


def tokens(rows: Records, name: str, noun: str = "token") -> list[list[str]]:
    """The lists of texts in column `name`; a text is split at white space. `noun` names one of them.

    Raises DataError: "tokens: no tokens (row 3).", "tokens: got 5, want a list of texts (row 3).", "tokens:
    token 2 is empty (row 3).".
    """
    values = [_listed(value) for value in rows[name]]
    _refuse(rows, name, [_wrong_list(value, noun) for value in values])
    return values


def aligned(rows: Records, name: str, labels: str, where: str) -> tuple[list[list[str]], list[list[str]]]:
    """The tokens of column `name` and the labels of column `labels`, one for each token.

    Raises DataError: "tag: 3 labels for 5 tokens (train.conll, line 17).", where "tag" is `where`.
    """
    words, marks = tokens(rows, name), tokens(rows, labels, "label")
    counts = [(len(held), len(said)) for held, said in zip(words, marks, strict=True)]
    ragged = [
        "" if held == said else f"{_count(said, 'label')} for {_count(held, 'token')}"
        for held, said in counts
    ]
    _refuse(rows, where, ragged)
    return words, marks


def _refuse(rows: Records, where: str, wrong: Sequence[str]) -> None:
    """Raises one DataError naming what is wrong with the first bad row, and how many more there are."""
    bad = [row for row, told in enumerate(wrong) if told]
    if bad:
        more = f", and {len(bad) - 1:,} more" if len(bad) > 1 else ""
        raise DataError(f"{where}: {wrong[bad[0]]} ({rows.place(bad[0])}{more}).")


def _wrong_text(value: Any, empty: bool) -> str:
    if isinstance(value, str):
        return "" if empty or value.strip() else "no text"
    if _absent(value):
        return "" if empty else "no text"
    return f"got {shown(value)}, want text"


def _wrong_list(value: Any, noun: str) -> str:
    if _absent(value) or value == []:
        return f"no {noun}s"
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return f"got {shown(value)}, want a list of texts"
    return "" if all(value) else f"{noun} {value.index('') + 1} is empty"


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return value.split()
    if isinstance(value, np.ndarray):
        return list(value.tolist())
    return list(value) if isinstance(value, tuple) else value


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"
