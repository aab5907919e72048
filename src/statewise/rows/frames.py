"""Files and frames of any library to NumPy columns (through narwhals, imported only when used)."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from statewise.core.errors import DataError, suggestion
from statewise.rows.formats.opening import decoded, read_bytes, suffix_of
from statewise.rows.formats.parquet import read_frame
from statewise.rows.formats.table import read_columns

if TYPE_CHECKING:
    import narwhals as nw

Floats = NDArray[np.float64]
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?")
_ISO_TEXT = f"^{_ISO.pattern}$"
_CELLS = {".csv": ",", ".tsv": "\t"}  # what stands between them
_NO_VALUE = ["", "NA", "N/A", "null"]


class Stamps(NamedTuple):
    """A column of times: seconds since 1970 (UTC when `zone` is given, else on the wall)."""

    seconds: NDArray[np.int64]  # [N]
    zone: str | None  # the zone the column itself carries
    missing: NDArray[np.bool_]  # [N]
    unreadable: dict[int, str]  # row: what stands there
    fraction: NDArray[np.bool_]  # [N] true where a fraction of a second was cut off


class Cells(NamedTuple):
    """A column of values: numbers, or numbers of `categories`; NaN where missing."""

    values: Floats  # [N]
    categories: tuple[str, ...] | None  # None for numbers


def read(source: Any) -> Any:
    """The frame in a file (polars), by its suffix, or `source` itself when it is a frame.

    .csv, .tsv (no quotes), .parquet, .jsonl, .conll and .conllu (a row per sentence, columns of lists), .txt
    (a row per line, column text); plain or packed (.gz, .xz). Accepts pandas, polars, Arrow and whatever else
    narwhals supports. Columns of a CSV or TSV that hold ISO dates become dates; "", "NA", "N/A" and "null"
    become missing. Raises DataError for other files and objects, and for files that cannot be read.
    """
    if not isinstance(source, (str, Path)):
        as_frame(source)
        return source
    path = Path(source)
    suffix = suffix_of(path)
    return _read_csv(path, _CELLS[suffix]) if suffix in _CELLS else _read_columns(path)


def as_frame(source: Any) -> nw.DataFrame[Any]:
    """Any supported frame as a narwhals frame (lazy ones are collected)."""
    import narwhals as nw

    try:
        frame = nw.from_native(source)
    except TypeError:
        kind = type(source).__name__
        raise DataError(f"data: got {kind}, want a path or a pandas, polars or Arrow frame.") from None
    except nw.exceptions.DuplicateError:
        raise DataError("data: two columns of the frame have one name.") from None
    return frame.collect() if isinstance(frame, nw.LazyFrame) else frame


def require(frame: nw.DataFrame[Any], roles: Iterable[tuple[str, str]]) -> None:
    """Raises one DataError naming every (role, column) the frame lacks, with the closest column."""
    columns = frame.columns
    lines = [
        f"{role}: the frame has no column '{name}'.{suggestion(name, columns)}"
        for role, name in roles
        if name not in columns
    ]
    if lines:
        raise DataError("\n".join(lines))


def stamps(column: nw.Series[Any]) -> Stamps:
    """The times in a column of dates, datetimes or ISO text. Raises DataError for anything else."""
    import narwhals as nw

    column, zone = _readable(column)
    dtype = column.dtype
    if isinstance(dtype, nw.Datetime) or dtype in (nw.Datetime, nw.Date):
        missing = column.is_null().to_numpy().astype(bool)
        dates = column.cast(nw.Datetime("us")) if dtype == nw.Date else column
        micros = _integers(dates.dt.timestamp("us"), missing)
        return _stamps(micros, zone, missing, {})
    if dtype.is_numeric() or dtype == nw.Boolean:
        want = "want dates, datetimes or ISO text: build them from the numbers first."
        raise DataError(f"{column.name}: got numbers ({dtype}), {want}")
    return _stamps_of_objects(column.to_list(), column.is_null().to_numpy().astype(bool))


def _readable(column: nw.Series[Any]) -> tuple[nw.Series[Any], str | None]:
    """The column and its time zone; narwhals does not know a pandas zone with "_" in its name (New_York)."""
    import narwhals as nw

    zone = getattr(column.dtype, "time_zone", None)
    native = column.to_native()
    if column.dtype == nw.Unknown and getattr(native.dtype, "tz", None) is not None:
        zone, column = native.dtype.tz, nw.from_native(native.dt.tz_convert("UTC"), series_only=True)
    return column, str(zone) if zone is not None else None


def cells(column: nw.Series[Any], categories: Sequence[str] | None = None) -> Cells:
    """A column as numbers (true and false as 1 and 0) or, when it holds text, as numbers of its categories.

    `categories` are numbered first, so that a second frame gets the same numbers.
    """
    import narwhals as nw

    dtype = column.dtype
    if categories is None:
        if dtype.is_numeric() or dtype == nw.Boolean:
            return Cells(_floats(column), None)
        if dtype == nw.Object or dtype == nw.Unknown:
            values = _floats_of_objects(column.to_list())
            if values is not None:
                return Cells(values, None)
    if categories is None and column.null_count() == len(column):
        return Cells(np.full(len(column), np.nan), None)
    missing = column.is_null().to_numpy().astype(bool)
    return _category_cells(column.to_list(), missing, categories or ())


def codes(column: nw.Series[Any], known: dict[Any, int]) -> NDArray[np.int64]:
    """Number of each value of an id column; new values are added to `known` in order of appearance."""
    values = column.to_list()
    return np.fromiter((known.setdefault(value, len(known)) for value in values), np.int64, len(values))


def _read_csv(path: Path, separator: str) -> Any:
    import polars as pl

    content = read_bytes(path)
    decoded(path, content)  # polars takes other encodings for text too
    quote = '"' if separator == "," else None
    try:
        frame = pl.read_csv(
            content, separator=separator, quote_char=quote, null_values=_NO_VALUE, infer_schema_length=None
        )
    except (pl.exceptions.PolarsError, OSError) as error:
        read_columns(path)  # says which line it is, where it can
        raise DataError(f"{path}: not a readable CSV file: {str(error).splitlines()[0]}") from None
    return frame.with_columns(_dates(column) for column in frame if column.dtype == pl.String)


def _dates(text: Any) -> Any:
    """A polars text column as datetimes when every value is an ISO date that exists, else as it is."""
    if text.null_count() == len(text) or not text.str.contains(_ISO_TEXT).all(ignore_nulls=True):
        return text
    import polars as pl

    try:
        return text.str.to_datetime()
    except pl.exceptions.PolarsError:
        return text


def _read_columns(path: Path) -> Any:
    import polars as pl

    if suffix_of(path) in (".parquet", ".pq"):
        return read_frame(path)
    columns = read_columns(path).columns
    try:
        return pl.DataFrame(columns, infer_schema_length=None)
    except (pl.exceptions.PolarsError, TypeError) as error:
        raise DataError(f"{path}: a column of several kinds: {str(error).splitlines()[0]}") from None


def _integers(column: nw.Series[Any], missing: NDArray[np.bool_]) -> NDArray[np.int64]:
    filled = column.fill_null(0) if missing.any() else column
    values = np.array(filled.to_numpy(), dtype=np.int64)
    values[missing] = 0
    return values


def _floats(column: nw.Series[Any]) -> Floats:
    import narwhals as nw

    values = column.cast(nw.Float64)
    if values.null_count():
        values = values.fill_null(float("nan"))
    return np.asarray(values.to_numpy(), dtype=np.float64)


def _floats_of_objects(values: list[Any]) -> Floats | None:
    try:
        return np.array(
            [np.nan if v is None or (isinstance(v, str) and not v) else v for v in values], np.float64
        )
    except (TypeError, ValueError):
        return None


def _category_cells(values: list[Any], missing: NDArray[np.bool_], categories: Sequence[str]) -> Cells:
    table = {text: i for i, text in enumerate(categories)}
    numbers: dict[Any, int] = {}
    result = np.full(len(values), np.nan)
    for row in np.flatnonzero(~missing).tolist():
        value = values[row]
        number = numbers.get(value)
        if number is None:
            number = numbers[value] = table.setdefault(str(value), len(table))
        result[row] = number
    return Cells(result, tuple(table))


def _stamps(
    micros: NDArray[np.int64], zone: str | None, missing: NDArray[np.bool_], bad: dict[int, str]
) -> Stamps:
    seconds = micros // 1_000_000
    return Stamps(seconds, zone, missing, bad, seconds * 1_000_000 != micros)


def _stamps_of_objects(values: list[Any], missing: NDArray[np.bool_]) -> Stamps:
    present = [value for value, none in zip(values, missing, strict=True) if not none]
    micros = np.zeros(len(values), dtype=np.int64)
    if all(isinstance(value, str) for value in present):
        parsed = _parse_iso(present)
        if parsed is not None:
            micros[~missing] = parsed
            return _stamps(micros, None, missing, {})
    table = {value: _moment(value) for value in set(present)}
    zones = {moment.tzinfo is not None for moment in table.values() if moment is not None}
    bad: dict[int, str] = {}
    for row, value in enumerate(values):
        moment = None if missing[row] else table[value]
        if moment is not None and len(zones) < 2:
            micros[row] = _micros(moment)
        elif not missing[row]:
            mixed = "with a time zone" if moment is not None and moment.tzinfo else "without a time zone"
            bad[row] = f"'{value}'" if moment is None else f"'{value}' {mixed}, other rows differ"
    return _stamps(micros, "UTC" if zones == {True} else None, missing, bad)


def _parse_iso(texts: list[str]) -> NDArray[np.int64] | None:
    """Microseconds since 1970 of plain ISO texts, None when some text is anything else."""
    if not texts or not _ISO.fullmatch(texts[0]) or min(map(len, texts)) < 10 or max(map(len, texts)) > 26:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # NumPy only warns about an offset such as +02:00
        try:
            return np.array(texts).astype("datetime64[us]").astype(np.int64)
        except (ValueError, UserWarning, DeprecationWarning):
            return None


def _moment(value: Any) -> datetime | None:
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value if isinstance(value, datetime) else None


def _micros(moment: datetime) -> int:
    epoch = datetime(1970, 1, 1, tzinfo=UTC if moment.tzinfo else None)
    delta = moment - epoch
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
