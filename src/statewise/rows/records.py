"""Rows of text, labels and lists from files, frames, mappings and lists, each with its place for errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from statewise.core.errors import ConfigError, DataError, shown, suggestion
from statewise.rows.formats.columns import Columns
from statewise.rows.formats.jsonl import columns_of
from statewise.rows.formats.opening import read_lines, suffix_of
from statewise.rows.formats.plain import read_running
from statewise.rows.formats.table import read_columns

if TYPE_CHECKING:
    import narwhals as nw

_ROWS = "data"  # what rows without a file are called


@dataclass(frozen=True, eq=False)
class Records:
    """The wanted columns of some rows; immutable, parts of it are made by `take` and `split`."""

    columns: dict[str, list[Any]]
    numbers: NDArray[np.int64]  # [N] the line or row of the source
    source: str = ""  # the file, or what the rows are called where that tells them apart
    unit: Literal["line", "row"] = "row"

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, name: str) -> list[Any]:
        """The values of a column."""
        return self.columns[name]

    def place(self, row: int) -> str:
        """Where a row stands: "train.jsonl, line 17" or "row 17" (lines from 1, rows from 0)."""
        at = f"{self.unit} {self.numbers[row]}"
        return f"{self.source}, {at}" if self.source else at

    def take(self, rows: ArrayLike) -> Records:
        """Some rows, by their place from 0, in the order given."""
        chosen = np.asarray(rows, dtype=np.int64).reshape(-1)
        columns = {name: [values[row] for row in chosen] for name, values in self.columns.items()}
        return Records(columns, self.numbers[chosen], self.source, self.unit)

    def split(self, share: float, seed: int = 0, *, by: str = "") -> tuple[Records, Records]:
        """Two parts in the order of the rows; the second is a `share` of them, drawn by `seed`.

        Rows with one value in the column `by` stay together, so that no part knows a sentence of the other.
        Both parts have at least one row, unless `share` is 0. Raises DataError when there is one row.
        """
        if not 0.0 <= share < 1.0:
            raise ConfigError(f"share: got {share}, want 0 ≤ share < 1.")
        groups, count = self._groups(by), self.groups(by)
        held = min(max(round(share * count), 1), count - 1) if share else 0
        if share and count < 2:
            what = f"value in '{by}'" if by else "row"
            raise DataError(f"data: one {what}, too few to set {share:g} of them aside.")
        chosen = np.zeros(count, dtype=bool)
        chosen[np.random.default_rng(seed).permutation(count)[:held]] = True
        aside = chosen[groups]
        return self.take(np.flatnonzero(~aside)), self.take(np.flatnonzero(aside))

    def groups(self, by: str = "") -> int:
        """How many different values the column `by` has; rows, without one."""
        return int(self._groups(by).max(initial=-1)) + 1

    def _groups(self, by: str) -> NDArray[np.int64]:
        if not by:
            return np.arange(len(self))
        known: dict[str, int] = {}
        values = (value if isinstance(value, str) else repr(value) for value in self.columns[by])
        return np.fromiter((known.setdefault(v, len(known)) for v in values), np.int64, len(self))


def records(data: Any, want: Sequence[str], where: str = _ROWS, *, running: bool = False) -> Records:
    """The columns `want` of `data`, in that order.

    `data` is a path (FORMATS by suffix, also .gz and .xz), any frame, a mapping of columns, a list of
    mappings, or, when one column is wanted, a list, array or series of its values. Plain text has no names:
    its lines are the one wanted column; with `running` the whole file is one row. Parallel text is a tuple
    of plain text files, one per wanted column, or a mapping of column names to them: line n of all is row n.

    `where` names the data in errors, such as "validation". Raises DataError in one line: unreadable files,
    missing columns, no rows, columns or files that differ in length. What the cells hold is checked by
    `rows.cells`.
    """
    found, source = _read(data, want, where, running)
    named = source or where
    if found.names == "none" and len(want) == 1:
        found = found._replace(columns={want[0]: next(iter(found.columns.values()))})
    _check_columns(found, want, named)
    columns = {name: found.columns[name] for name in want}
    if not len(found.numbers):
        raise DataError(f"{named}: no rows.")
    name = source or ("" if where == _ROWS else where)
    return Records(columns, np.asarray(found.numbers, dtype=np.int64), name, found.unit)


def _read(data: Any, want: Sequence[str], where: str, running: bool) -> tuple[Columns, str]:
    if isinstance(data, (str, Path)):
        path = Path(data)
        plain = running and suffix_of(path) == ".txt"
        return (read_running(path) if plain else read_columns(path)), str(path)
    if isinstance(data, tuple):
        return _parallel(data, want, where)
    if isinstance(data, Mapping):
        if data and all(isinstance(value, (str, Path)) for value in data.values()):
            return _parallel(tuple(data.values()), tuple(data), where)
        return _mapping(data, where), ""
    if isinstance(data, (list, np.ndarray)):
        held = data if isinstance(data, list) else list(data.tolist())
        return _listed(held, want, where), ""
    return _frame(data, want, where), ""


def _parallel(paths: tuple[Any, ...], want: Sequence[str], where: str) -> tuple[Columns, str]:
    if not all(isinstance(path, (str, Path)) for path in paths):
        raise DataError(f"{where}: got {shown(paths)}, want {len(want)} paths: {', '.join(want)}.")
    if len(paths) != len(want):
        got = "one path" if len(paths) == 1 else f"{len(paths)} paths"
        raise DataError(f"{where}: got {got}, want {len(want)}: {', '.join(want)}.")
    lines = [read_lines(Path(path)) for path in paths]
    if len({len(part) for part in lines}) > 1:
        counts = ", ".join(f"{path} has {len(part):,}" for path, part in zip(paths, lines, strict=True))
        raise DataError(f"{where}: unpaired lines: {counts}; line n of each must belong together.")
    columns: dict[str, list[Any]] = dict(zip(want, lines, strict=True))
    return Columns(columns, range(1, len(lines[0]) + 1)), " and ".join(map(str, paths))


def _mapping(data: Mapping[Any, Any], where: str) -> Columns:
    columns = {str(name): _values(values, str(name), where) for name, values in data.items()}
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"'{name}' has {count:,}" for name, count in lengths.items())
        raise DataError(f"{where}: columns of different lengths: {told}.")
    return Columns(columns, range(next(iter(lengths.values()), 0)), unit="row")


def _listed(data: list[Any], want: Sequence[str], where: str) -> Columns:
    mappings = [isinstance(row, Mapping) for row in data]
    if all(mappings):
        return Columns(columns_of(data), range(len(data)), unit="row")
    if len(want) == 1 and not any(mappings):
        return Columns({want[0]: data}, range(len(data)), unit="row")
    row = mappings.index(False)
    raise DataError(f"{where}: got {shown(data[row])} (row {row}), want a mapping with {', '.join(want)}.")


def _frame(data: Any, want: Sequence[str], where: str) -> Columns:
    import narwhals as nw

    try:
        held = nw.from_native(data, pass_through=True, allow_series=True)
    except nw.exceptions.DuplicateError:
        raise DataError(f"{where}: two columns of the frame have one name.") from None
    if isinstance(held, nw.Series) and len(want) == 1:
        return Columns({want[0]: _cells(held)}, range(len(held)), unit="row")
    frame = held.collect() if isinstance(held, nw.LazyFrame) else held
    if not isinstance(frame, nw.DataFrame):
        kinds = "a path, a frame, a mapping of columns or a list of rows"
        raise DataError(f"{where}: got {type(data).__name__}, want {kinds}.")
    columns = {name: _cells(frame[name]) if name in want else [] for name in frame.columns}
    return Columns(columns, range(len(frame)), unit="row")


def _cells(column: nw.Series[Any]) -> list[Any]:
    """The values, None where one is missing, whatever the library puts there."""
    values = list(column.to_list())
    if column.null_count():
        return [None if missing else value for value, missing in zip(values, column.is_null(), strict=True)]
    return values


def _values(values: Any, name: str, where: str) -> list[Any]:
    if isinstance(values, np.ndarray):
        return list(values.tolist())
    if isinstance(values, (str, bytes, Mapping)) or not isinstance(values, Sequence):
        raise DataError(f"{where}: column '{name}': got {shown(values)}, want a list.")
    return list(values)


def _check_columns(found: Columns, want: Sequence[str], named: str) -> None:
    if not found.columns and not len(found.numbers):
        raise DataError(f"{named}: no rows.")
    for name in want:
        if name not in found.columns:
            hint = suggestion(name, found.columns)
            unnamed = found.names == "first line" and "Did you mean" not in hint
            first = " The first line must name the columns." if unnamed else ""
            raise DataError(f"{named}: no column '{name}'.{hint}{first}")
