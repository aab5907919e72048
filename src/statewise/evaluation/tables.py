"""A backtest's scores as a text table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from statewise.evaluation.report import BacktestReport

Row = dict[str, Any]
_FOOT = """\
Point for MAE, MASE, sMAPE: the median (else the mean); for RMSE: the mean (else the median).
MASE is scaled by the in-sample seasonal naive ({season} steps). sMAPE 0–200 %.
CRPS = 2 × mean pinball loss, in units; wQL as a share of |y|.
cov80, width80: coverage and width of the central 80 % interval. skill: 1 - MASE / MASE of {reference}."""


def score_table(report: BacktestReport) -> str:
    """Head line, one block per target (best first, models under test marked *), notes, conventions."""
    blocks = [_block(report, str(target)) for target in report.scores["target"].unique(maintain_order=True)]
    settings = report.settings
    reference = settings["skill_reference"] or "nothing (no seasonal naive)"
    foot = [f"Note: {note}" for note in report.notes]
    foot.append(_FOOT.format(season=settings["season_length"], reference=reference))
    return "\n\n".join([_head(report), *blocks, "\n".join(foot)])


def _head(report: BacktestReport) -> str:
    s = report.settings
    cutoffs = s["cutoffs"]
    mode = f"refitted every {s['refit_every']} origins" if s["refit_every"] else "no refit"
    return (
        f"Backtest: {len(cutoffs)} origins from {cutoffs[0]} to {cutoffs[-1]}, {s['step']} steps "
        f"({s['frequency']}) apart, {s['horizon']} ahead, {s['series']} series, {mode}."
    )


def _block(report: BacktestReport, target: str) -> str:
    rows = report.scores.filter(pl.col("target") == target).to_dicts()
    rows.sort(key=lambda row: _order(row))
    columns = [column for column in _columns(report) if any(row[column[1]] is not None for row in rows)]
    cells = [[title for title, _, _ in columns]]
    cells += [[show(row[key]) if row[key] is not None else "-" for _, key, show in columns] for row in rows]
    names = [target, *(f"{row['model']}{' *' if row['model'] in report.models else ''}" for row in rows)]
    return "\n".join(_aligned([[name, *line] for name, line in zip(names, cells, strict=True)]))


def _columns(report: BacktestReport) -> list[tuple[str, str, Callable[[Any], str]]]:
    columns: list[tuple[str, str, Callable[[Any], str]]] = [
        ("MAE", "mae", _significant),
        ("RMSE", "rmse", _significant),
        ("MASE", "mase", "{:.3f}".format),
        ("sMAPE", "smape", "{:.1f}".format),
        ("CRPS", "crps", _significant),
        ("wQL", "wql", "{:.4f}".format),
        ("cov80", "coverage_80", "{:.3f}".format),
        ("width80", "width_80", _significant),
        ("skill", "skill", "{:+.3f}".format),
        ("s/origin", "seconds", "{:.2g}".format),
    ]
    if (report.scores["missing"] > 0).any():
        columns.insert(-1, ("missing", "missing", str))
    return columns


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first, rest = widths[0], widths[1:]
    return [
        "  ".join([row[0].ljust(first), *(cell.rjust(w) for cell, w in zip(row[1:], rest, strict=True))])
        for row in rows
    ]


def _order(row: Row) -> tuple[bool, float]:
    value = row["mase"] if row["mase"] is not None else row["mae"]
    return (value is None, value or 0.0)


def _significant(value: float) -> str:
    """Four significant digits without an exponent for usual sizes: 0.1234, 12.34, 1234."""
    if value == 0 or not 1e-4 <= abs(value) < 1e7:
        return f"{value:.3g}"
    size = abs(value)
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3
    return f"{value:.{digits}f}" if size >= 1 else f"{value:.4g}"
