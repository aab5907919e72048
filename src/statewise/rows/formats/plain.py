"""Plain text: one row per line, or the whole file as one running text."""

from __future__ import annotations

from pathlib import Path

from statewise.rows.formats.columns import Columns
from statewise.rows.formats.opening import read_lines, read_text


def read_plain(path: Path) -> Columns:
    """Column text: the lines that are not blank."""
    lines = [(number, line) for number, line in enumerate(read_lines(path), start=1) if line.strip()]
    return Columns({"text": [line for _, line in lines]}, [number for number, _ in lines], names="none")


def read_running(path: Path) -> Columns:
    """Column text: the file as one row, blank lines and line ends as they are."""
    text = read_text(path)
    return Columns({"text": [text] if text else []}, [1] if text else [], names="none")
