"""Spans of grid steps in words ("48 hours", "14 days"), numbers and tables as text."""

from __future__ import annotations

from collections.abc import Sequence

from statewise.rows.frequency import DAY, Frequency

_HOUR = 3600
_READABLE = 72 * _HOUR  # up to here, "48 hours" is easier to read than "2 days"


def counted(number: int, word: str) -> str:
    """Number and noun: "1 hour", "2 hours"."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def span(steps: int, frequency: Frequency) -> str:
    """Length of `steps` grid steps: 48 hourly ones are "48 hours", 2 quarterly ones "2 quarters"."""
    size = steps * frequency.count
    if frequency.unit == "B":
        return counted(size, "business day")
    if frequency.unit == "M":
        for months, word in ((12, "year"), (3, "quarter")):
            if frequency.count % months == 0:
                return counted(size // months, word)
        return counted(size, "month")
    for seconds, word, least in (
        (7 * DAY, "week", 0 if frequency.count % (7 * DAY) == 0 else size + 1),
        (DAY, "day", 0 if frequency.whole_days else _READABLE),
        (_HOUR, "hour", 0),
        (60, "minute", 0),
    ):
        if size % seconds == 0 and size >= least:
            return counted(size // seconds, word)
    return counted(size, "second")


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return lines


def significant(value: float) -> str:
    """Three to four significant digits without an exponent for usual sizes."""
    size = abs(value)
    if size and not 1e-3 <= size < 1e7:
        return f"{value:.2e}"
    if not size:
        return "0"
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 4
    return f"{value:.{digits}f}"
