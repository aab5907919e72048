"""Writes docs/cells.md from the table of cells and their docstrings: python scripts/cells_page.py"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from statewise.cells.table import CELLS, Cell

PAGE = Path(__file__).parents[1] / "docs" / "cells.md"
FORMS = {
    "loop": "step after step",
    "scan": "all steps at once, by a scan",
    "chunks": "in chunks of steps, by matrix products",
    "window": "all steps at once, by convolutions",
    "attention": "all pairs of steps at once",
}
HEAD = """# Cells

Every cell is one recurrence behind one name: `sw.fit(task, data, cell="mamba")`, and a pattern of names makes
a hybrid, `cell="mamba mamba lstm", num_layers=3`. Whatever the form in which it trains, it runs one step at a
time with a state of fixed size (attention apart), and [the law](the-law.md) is tested for each with every
option. Options go in by name, `options={"state_size": 32}`, or at the prompt, `model.options.state_size=32`.

State and cost are those of one layer, per row: numbers kept, and multiply-adds of one step, with I inputs, H
the hidden size, the options by their names, and `steps`, those seen so far, where that matters. A test
compares both with the running cell.

This page is written by `python scripts/cells_page.py` from the table and the docstrings.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(
        [HEAD, *_table(), *(part for name, cell in CELLS.items() for part in _section(name, cell))]
    )


def _table() -> list[str]:
    rows = [
        "| cell | year | whole sequence | state | cost of a step | good for |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, cell in CELLS.items():
        link = f"[`{name}`](#{name})"
        parts = (link, str(cell.year), cell.form, cell.state_size, cell.step_cost, cell.good_for)
        rows.append(f"| {' | '.join(parts)} |")
    return [*rows, ""]


def _section(name: str, cell: Cell) -> list[str]:
    module = inspect.getdoc(sys.modules[cell.make.__module__]) or ""
    about = inspect.getdoc(cell.make) or ""
    options = [f"`{option}={one.default!r}`" for option, one in cell.options.items()]
    return [
        f"## {name}",
        "",
        f"*{cell.source}. {FORMS[cell.form].capitalize()}.*",
        "",
        module,
        "",
        about,
        "",
        f"Options: {', '.join(options)}.",
        "",
    ]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
