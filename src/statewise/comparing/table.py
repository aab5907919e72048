"""A comparison as a text table and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from statewise.comparing.entry import Entry, Spread
from statewise.core.quantities import duration_text, size_text

if TYPE_CHECKING:
    from statewise.comparing.report import ComparisonReport

_NOTHING = str(Spread())
_FOOT = """\
{unit}: mean ± standard deviation over seeds. to best: difference to {rival}, the best baseline, in percent,
with its 95 % interval over origins and seeds. cov80: share inside the central 80 % interval.
train: processor time of one training. step: median time of a live step of one row, one thread. state: of one
session. peak: most memory that training took on top of the data."""


def text_table(report: ComparisonReport) -> str:
    """Head line, one line per entry, notes, conventions."""
    cells = [["", *(title for title, _ in _columns(report))]]
    cells += [_line(report, entry) for entry in report.entries]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_aligned(row, widths) for row in cells]
    foot = [f"Note: {note}" for note in report.notes]
    foot.append(_FOOT.format(unit=report.settings["unit"], rival=report.settings["rival"] or "nothing"))
    return "\n".join([head(report), "", *lines, "", *foot])


def markdown(report: ComparisonReport) -> str:
    """The recommendation, the table, the notes."""
    titles = ["", *(title for title, _ in _columns(report))]
    rows = [_line(report, entry) for entry in report.entries]
    rule = ["---", *("---:" for _ in titles[1:])]
    lines = [f"| {' | '.join(cell or ' ' for cell in row)} |" for row in (titles, rule, *rows)]
    notes = [f"- {note}" for note in report.notes]
    sentences = "\n".join(f"- {line}" for line in report.recommendation.splitlines())
    return "\n".join([head(report), "", *lines, "", sentences, *([""] if notes else []), *notes]) + "\n"


def head(report: ComparisonReport) -> str:
    """What was compared on what."""
    s = report.settings
    first, last = s["cutoffs"]
    folds = f", retrained {s['folds']} times on the way" if s["folds"] > 1 else ""
    equal = {
        "parameters": f"about {s['parameters']:,} parameters each" if s["parameters"] else "sizes as given",
        "time": f"{duration_text(s['train_seconds'])} of training each" if s["train_seconds"] else "",
    }[s["by"]]
    cells, distance = _many(s["cells"], "cell"), _many(s["step"], "step")
    return (
        f"{cells}, {equal}, {_many(s['seeds'], 'seed')}{folds}. {_many(s['origins'], 'origin')} from {first} "
        f"to {last}, {distance} ({s['frequency']}) apart, {s['horizon']} ahead."
    )


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _columns(report: ComparisonReport) -> list[tuple[str, Callable[[Entry], str]]]:
    columns: list[tuple[str, Callable[[Entry], str]]] = [
        (report.settings["unit"], lambda entry: str(entry.loss)),
        ("to best", _to_best),
        ("MAE", lambda entry: _number(entry.mae)),
        ("CRPS", lambda entry: _number(entry.crps)),
        ("cov80", lambda entry: _NOTHING if entry.coverage_80 is None else f"{entry.coverage_80:.2f}"),
        ("hidden", lambda entry: str(entry.settings.get("hidden_size", _NOTHING))),
        ("weights", lambda entry: _NOTHING if entry.parameters is None else f"{entry.parameters:,}"),
        ("steps", lambda entry: _NOTHING if entry.train_steps is None else f"{entry.train_steps}"),
        ("train", lambda entry: _time(entry.train_processor_seconds)),
        ("peak", lambda entry: _size(entry.peak_bytes)),
        ("step", lambda entry: _time(entry.step_seconds)),
        ("state", lambda entry: _size(entry.state_bytes)),
        ("", _remark),
    ]
    kept = {title for title, show in columns if any(show(entry) != _NOTHING for entry in report.entries)}
    return [column for column in columns if column[0] in kept]


def _line(report: ComparisonReport, entry: Entry) -> list[str]:
    mark = " *" if entry.name == report.recommended else ""
    return [f"{entry.name}{mark}", *(show(entry) for _, show in _columns(report))]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Names and remarks to the left, numbers to the right."""
    middle = [cell.rjust(width) for cell, width in zip(row[1:-1], widths[1:-1], strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *middle, row[-1]]).rstrip()


def _remark(entry: Entry) -> str:
    """What the numbers do not say: not within the limits, not finished …"""
    remarks = ["over the limit"] if entry.over_limits else []
    if entry.status != "finished":
        remarks.append(entry.status)
    return ", ".join(remarks)


def _to_best(entry: Entry) -> str:
    if entry.gap is None or math.isnan(entry.gap.percent):
        return _NOTHING
    if math.isinf(entry.gap.half_width):
        return f"{entry.gap.percent:+.1f} %"
    return f"{entry.gap.percent:+.1f} ± {100 * entry.gap.half_width / entry.gap.rival_loss:.1f} %"


def _number(value: Spread) -> str:
    if value.mean is None:
        return _NOTHING
    size = abs(value.mean)
    if size == 0 or not 1e-3 <= size < 1e6:
        return f"{value.mean:.3g}"
    return f"{value.mean:.{max(0, 3 - len(str(int(size))) + (size < 1))}f}"


def _time(value: float | None) -> str:
    return _NOTHING if value is None else duration_text(value)


def _size(value: int | None) -> str:
    return _NOTHING if value is None else size_text(value)
