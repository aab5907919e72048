"""JSON Lines: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from statewise.core.errors import DataError
from statewise.rows.formats.columns import Columns
from statewise.rows.formats.opening import read_lines


def read_jsonl(path: Path) -> Columns:
    """A column per key, in order of appearance; None where a row has no such key. Blank lines say nothing.

    Raises DataError: "a.jsonl, line 3: not JSON: Expecting ',' delimiter (column 14).", "a.jsonl, line 3: got
    a list, want an object.".
    """
    numbered = [(number, line) for number, line in enumerate(read_lines(path), start=1) if line.strip()]
    rows = [_row(line, f"{path}, line {number}") for number, line in numbered]
    return Columns(columns_of(rows), [number for number, _ in numbered])


def columns_of(rows: Iterable[Mapping[Any, Any]]) -> dict[str, list[Any]]:
    """Columns of mappings: every key of any row; None where a row has it not."""
    held = list(rows)
    names = dict.fromkeys(str(name) for row in held for name in row)
    return {name: [row.get(name) for row in held] for name in names}


def _row(line: str, place: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON: {error.msg} (column {error.colno}).") from None
    except (ValueError, RecursionError):  # a whole number of thousands of digits; thousands of brackets
        raise DataError(f"{place}: not JSON that can be read: too deep or too long.") from None
    if not isinstance(row, dict):
        kind = {list: "a list", str: "a text", type(None): "null"}.get(type(row), "a number")
        raise DataError(f"{place}: got {kind}, want an object.")
    if "\\ud" in line.lower() and not _is_text(row):
        raise DataError(f"{place}: half a character (\\ud800 to \\udfff alone): was the text cut?")
    return row


def _is_text(row: dict[str, Any]) -> bool:
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
