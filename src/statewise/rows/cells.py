"""What the cells of records must hold: texts, lists of tokens, as many labels as tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from statewise.core.errors import DataError, shown
from statewise.rows.records import Records


def texts(rows: Records, name: str, *, empty: bool = False) -> list[str]:
    """The texts of column `name`, blank ones refused unless `empty`.

    Raises DataError: "text: no text (train.jsonl, line 17).", "text: got 5, want text (row 3, and 2 more).".
    """
    values = rows[name]
    _refuse(
        rows,
        values,
        lambda v: isinstance(v, str) or _absent(v),
        lambda v: f"{name}: got {shown(v)}, want text",
    )
    if not empty:
        _refuse(rows, values, lambda v: not _absent(v) and bool(v.strip()), lambda v: f"{name}: no text")
    return ["" if _absent(value) else value for value in values]


def tokens(rows: Records, name: str) -> list[list[str]]:
    """The lists of texts in column `name`; a text is split at white space.

    Raises DataError: "tokens: no tokens (row 3).", "tokens: got 5, want a list of texts (row 3).", "tokens:
    token 2 is empty (row 3).".
    """
    values = [_listed(value) for value in rows[name]]
    want = "want a list of texts"
    _refuse(
        rows, values, lambda v: _absent(v) or isinstance(v, list), lambda v: f"{name}: got {shown(v)}, {want}"
    )
    _refuse(rows, values, lambda v: not _absent(v) and bool(v), lambda v: f"{name}: no tokens")
    _refuse(
        rows,
        values,
        lambda v: all(isinstance(t, str) for t in v),
        lambda v: f"{name}: got {shown(v)}, {want}",
    )
    _refuse(rows, values, all, lambda v: f"{name}: token {list(map(bool, v)).index(False) + 1} is empty")
    return values


def aligned(rows: Records, name: str, labels: str, where: str) -> tuple[list[list[str]], list[list[str]]]:
    """The tokens of column `name` and the labels of column `labels`, one for each token.

    Raises DataError: "tag: 3 labels for 5 tokens (train.conll, line 17).", where "tag" is `where`.
    """
    words, marks = tokens(rows, name), tokens(rows, labels)
    pairs = list(zip(words, marks, strict=True))
    _refuse(
        rows,
        pairs,
        lambda p: len(p[0]) == len(p[1]),
        lambda p: f"{where}: {_count(p[1])} for {len(p[0])} tokens",
    )
    return words, marks


def _refuse(rows: Records, values: list[Any], good: Callable[[Any], bool], say: Callable[[Any], str]) -> None:
    """Raises one DataError naming the first value that is not good and how many more there are."""
    bad = [row for row, value in enumerate(values) if not good(value)]
    if bad:
        more = f", and {len(bad) - 1:,} more" if len(bad) > 1 else ""
        raise DataError(f"{say(values[bad[0]])} ({rows.place(bad[0])}{more}).")


def _listed(value: Any) -> Any:
    if isinstance(value, str):
        return value.split()
    if isinstance(value, np.ndarray):
        return list(value.tolist())
    return list(value) if isinstance(value, tuple) else value


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _count(marks: list[str]) -> str:
    return f"{len(marks)} label{'s' if len(marks) != 1 else ''}"
