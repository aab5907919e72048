"""`statewise datasets`: the catalogue of data sets; with a name, one entry in full."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from statewise.data.catalogue import DataSet


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "datasets",
        help="list the data sets that can be named in place of a file",
        description="Lists the data sets, and where each would be read from now. With a NAME: that entry in "
        "full.",
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="of a data set")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the catalogue."""
    from statewise.data import datasets

    if args.name is not None:
        entry = datasets.info(args.name)
        print("\n".join(_lines(entry, datasets.place(entry))))
        return 0
    columns = ("name", "from", "licence", "size")
    rows = [[str(row[column]) for column in columns] for row in datasets.table().to_dicts()]
    print("\n".join(_aligned([list(columns), *rows])))
    print('\nRead one with sw.datasets.load("NAME"), or give its NAME in place of a file.')
    return 0


def _lines(entry: DataSet, place: str) -> list[str]:
    """The entry in full, one line per fact."""
    facts = {
        "task": entry.task,
        "size": entry.size,
        "target": ", ".join(entry.target),
        "observed": ", ".join(entry.observed),
        "known": ", ".join(entry.known),
        "split": entry.split,
        "note": entry.note,
        "licence": entry.licence,
        "cite": entry.citation,
        "origin": entry.origin,
        "from": place,
    }
    return [entry.name, *(f"  {name:<9} {text}" for name, text in facts.items() if text)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
