"""CSV with quotes (RFC 4180) and TSV without them; the first line names the columns, cells stay text."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from statewise.core.errors import DataError
from statewise.rows.formats.columns import Columns
from statewise.rows.formats.opening import read_lines, read_text

Row = tuple[int, list[str]]  # the line it begins in, its cells


def read_csv(path: Path) -> Columns:
    """Cells between commas, in quotes where they hold commas, quotes or line ends. Blank lines say nothing.

    Raises DataError: "a.csv, line 5: 3 cells, want 2 as in the first line: is a text with ',' not in
    quotes?", "a.csv, line 5: a quotation mark that is never closed.".
    """
    return _columns(path, _csv_rows(path), ",", "is a text with ',' not in quotes?")


def read_tsv(path: Path) -> Columns:
    """Cells between tabs, one row per line; quotation marks are part of the text. Blank lines say nothing."""
    lines = enumerate(read_lines(path), start=1)
    rows = ((number, line.split("\t")) for number, line in lines if line.strip(" \r"))
    return _columns(path, rows, "\t", "does a text hold a tab?")


def _columns(path: Path, rows: Iterator[Row], separator: str, doubt: str) -> Columns:
    _, header = next(rows, (1, []))
    _check_header(path, header, separator)
    numbers: list[int] = []
    cells: list[list[str]] = []
    for number, row in rows:
        if len(row) != len(header):
            held = f"{len(row)} cell{'s' if len(row) > 1 else ''}, want {len(header)} as in the first line"
            raise DataError(f"{path}, line {number}: {held}: {doubt}")
        numbers.append(number)
        cells.append(row)
    columns = {name: [row[i] for row in cells] for i, name in enumerate(header)}
    return Columns(columns, numbers, names="first line")


def _csv_rows(path: Path) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    limit = csv.field_size_limit(sys.maxsize)  # a text may be long
    try:
        start = 1
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    except csv.Error as error:
        closed = "unexpected end" not in str(error)
        what = f"not readable as CSV: {error}" if closed else "a quotation mark that is never closed"
        raise DataError(f"{path}, line {start}: {what}.") from None
    finally:
        csv.field_size_limit(limit)


def _check_header(path: Path, header: list[str], separator: str) -> None:
    for name in header:
        if header.count(name) > 1:
            raise DataError(f"{path}, line 1: two columns are named '{name}'.")
    other = next((sign for sign in (",", ";", "\t") if sign != separator and sign in "".join(header)), None)
    if len(header) == 1 and other is not None:
        shown = {",": "','", ";": "';'", "\t": "tabs"}
        remedy = {"\t": "name it .tsv", ",": "name it .csv"}.get(other, f"write it with {shown[separator]}")
        raise DataError(
            f"{path}, line 1: cells separated by {shown[other]}, want {shown[separator]}: {remedy}."
        )
