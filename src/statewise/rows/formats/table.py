"""Which reader reads which suffix; adding a format = one file and one line here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from statewise.core.errors import DataError
from statewise.rows.formats.columns import Columns
from statewise.rows.formats.conll import read_conll
from statewise.rows.formats.conllu import read_conllu
from statewise.rows.formats.delimited import read_csv, read_tsv
from statewise.rows.formats.jsonl import read_jsonl
from statewise.rows.formats.opening import suffix_of
from statewise.rows.formats.parquet import read_parquet
from statewise.rows.formats.plain import read_plain

FORMATS: dict[str, Callable[[Path], Columns]] = {
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".parquet": read_parquet,
    ".pq": read_parquet,
    ".conll": read_conll,
    ".conllu": read_conllu,
    ".txt": read_plain,
}

_SHOWN = 80


def read_columns(path: Path) -> Columns:
    """The columns of a file, by its suffix before .gz or .xz.

    Raises DataError: "notes.doc: cannot read '.doc' files, want .csv, .tsv, …, plain or packed (.gz, .xz);
    name plain text .txt.", "what a film: no such file; a text itself goes in a list.".
    """
    suffix = suffix_of(path)
    if suffix not in FORMATS:
        if not os.path.exists(path):
            raise DataError(f"{_short(path)}: no such file; a text itself goes in a list.")
        if path.is_dir():
            raise DataError(f"{path}: is a folder, want a file.")
        known = ", ".join(name for name in FORMATS if name not in (".ndjson", ".pq"))
        want = f"want {known}, plain or packed (.gz, .xz); name plain text .txt"
        raise DataError(f"{path}: cannot read '{suffix}' files, {want}.")
    return FORMATS[suffix](path)


def _short(path: Path) -> str:
    text = " ".join(str(path).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
