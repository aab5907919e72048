"""Writes the table of measured results into README.md from the JSON files in benchmarks/results.

    python benchmarks/table.py           writes the table
    python benchmarks/table.py --check   exits with 1 when README.md is not up to date

Each file holds one object, or a list of them, with: name, what, bar, measured, command, machine, met.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BEGIN = "<!-- results -->"
END = "<!-- /results -->"
COLUMNS = ("what", "bar", "measured", "met", "command")


@dataclass(frozen=True)
class Result:
    """One measured result; `bar` is what it had to reach, `met` whether it did."""

    name: str
    what: str
    bar: str
    measured: str
    command: str
    machine: str
    met: bool


def read_results(folder: Path) -> list[Result]:
    """All results in `folder`, by name. Raises ValueError naming the file and the field that does not fit."""
    results = []
    for path in sorted(folder.glob("*.json")):
        held = json.loads(path.read_text(encoding="utf-8"))
        results += [result_of(item, path.name) for item in (held if isinstance(held, list) else [held])]
    return sorted(results, key=lambda result: result.name)


def result_of(item: Any, where: str) -> Result:
    """One result from its JSON object; further keys (raw numbers, settings) are allowed and ignored."""
    if not isinstance(item, dict):
        raise ValueError(f"{where}: got {type(item).__name__}, want an object or a list of objects.")
    values = {}
    for field in fields(Result):
        want = bool if field.name == "met" else str
        if not isinstance(item.get(field.name), want):
            raise ValueError(f"{where}: {field.name}: got {item.get(field.name)!r}, want a {want.__name__}.")
        values[field.name] = item[field.name]
    return Result(**values)


def markdown(results: list[Result]) -> str:
    """The table, a row per result, and the machines they were measured on below it."""
    if not results:
        return "No result is stored yet: `make bench` measures them."
    rows = [cells(result) for result in results]
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    machines = sorted({result.machine for result in results})
    return f"{table}\n\nMeasured on: {'; '.join(machines)}."


def cells(result: Result) -> tuple[str, ...]:
    met = "yes" if result.met else "**no**"
    texts = (result.what, result.bar, result.measured, met, f"`{result.command}`")
    return tuple(text.replace("|", "\\|").replace("\n", " ") for text in texts)


def filled(readme: str, table: str) -> str:
    """`readme` with `table` between the two markers. Raises ValueError when a marker is missing."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md: want the markers {BEGIN} and {END}.")
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def main(arguments: list[str]) -> int:
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    made = filled(readme, markdown(read_results(ROOT / "benchmarks" / "results")))
    if arguments == ["--check"]:
        if made != readme:
            print("README.md: the table of results is out of date. Do: python benchmarks/table.py")
        return int(made != readme)
    path.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
