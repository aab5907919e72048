"""Files and frames of three libraries give the same columns."""

from __future__ import annotations

import gzip
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from statewise.core.errors import DataError
from statewise.rows.frames import as_frame, cells, codes, read, require, stamps

CSV = "ds,y,place,n\n2024-01-01 00:00:00,1.5,NA,1\n2024-01-01 01:00:00,,Rome,2\n"


def column(values: Any, **kwargs: Any) -> Any:
    return as_frame(pl.DataFrame({"x": pl.Series(values, **kwargs)}))["x"]


def test_csv_gz_and_parquet_read_alike(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    frame = read(tmp_path / "a.csv")
    frame.write_parquet(tmp_path / "a.parquet")
    assert frame.equals(read(str(tmp_path / "a.csv.gz")))
    assert frame.equals(read(tmp_path / "a.parquet"))
    assert frame["ds"].to_list() == [datetime(2024, 1, 1, 0), datetime(2024, 1, 1, 1)]
    assert frame["y"].to_list() == [1.5, None]
    assert frame["place"].to_list() == [None, "Rome"]
    assert frame["n"].to_list() == [1, 2]


def test_tsv_has_no_quotes_and_its_numbers_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('ds\ty\ttext\n2024-01-31\t1.5\t"so, he said\n', encoding="utf-8")
    frame = read(tmp_path / "a.tsv")
    assert frame.to_dicts() == [{"ds": datetime(2024, 1, 31), "y": 1.5, "text": '"so, he said'}]


def test_files_of_text_become_frames_with_columns_of_lists(tmp_path: Path) -> None:
    (tmp_path / "a.conll").write_text("I PRON\nam VERB\n\nHere ADV\n", encoding="utf-8")
    frame = read(tmp_path / "a.conll")
    assert frame["tokens"].to_list() == [["I", "am"], ["Here"]]
    assert frame["labels"].to_list() == [["PRON", "VERB"], ["ADV"]]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a", "n": 1}\n{"text": "b"}\n'))
    assert read(tmp_path / "a.jsonl.gz").to_dicts() == [{"text": "a", "n": 1}, {"text": "b", "n": None}]
    (tmp_path / "a.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    assert read(tmp_path / "a.txt").to_dict(as_series=False) == {"text": ["one", "two"]}
    (tmp_path / "b.jsonl").write_text('{"x": 1}\n{"x": "one"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"b\.jsonl: a column of several kinds: "):
        read(tmp_path / "b.jsonl")


def test_days_become_dates_and_what_is_no_date_stays_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b,c\n2024-01-31,31.12.2024,2024-02-30\n,,\n", encoding="utf-8")
    frame = read(tmp_path / "a.csv")
    assert frame["a"].to_list() == [datetime(2024, 1, 31), None]
    assert frame["b"].to_list() == ["31.12.2024", None]
    assert frame["c"].to_list() == ["2024-02-30", None]


def test_a_frame_is_handed_through() -> None:
    frame = pd.DataFrame({"a": [1]})
    assert read(frame) is frame


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    (tmp_path / "a.csv").write_bytes(b"name,y\nRen\xe9,1\n")
    known = ".csv, .tsv, .jsonl, .parquet, .conll, .conllu, .txt, plain or packed (.gz, .xz)"
    remedy = "save the file as UTF-8 (it may be Latin-1 or Windows-1252)"
    cases = {
        tmp_path
        / "a.xlsx": f"{tmp_path}/a.xlsx: cannot read '.xlsx' files, want {known}; name plain text .txt.",
        tmp_path / "b.csv": f"{tmp_path}/b.csv: no such file.",
        tmp_path / "a.csv": f"{tmp_path}/a.csv, line 2: byte 0xe9 at column 4 is not UTF-8: {remedy}.",
    }
    for path, text in cases.items():
        with pytest.raises(DataError) as caught:
            read(path)
        assert str(caught.value) == text
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file: "):
        read(tmp_path / "a.parquet")
    with pytest.raises(DataError) as caught:
        read([1, 2])
    assert str(caught.value) == "data: got list, want a path or a pandas, polars or Arrow frame."


def test_missing_columns_are_listed_with_suggestions() -> None:
    frame = as_frame(pl.DataFrame({"date": [1], "load": [2]}))
    with pytest.raises(DataError) as caught:
        require(frame, [("time", "dat"), ("target", "load"), ("known", "zzz")])
    assert str(caught.value) == (
        "time: the frame has no column 'dat'. Did you mean 'date'?\n"
        "known: the frame has no column 'zzz'. Known: date, load."
    )


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match=r"^data: two columns of the frame have one name\.$"):
        as_frame(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_lazy_frames_are_collected() -> None:
    assert len(as_frame(pl.LazyFrame({"a": [1, 2]}))) == 2


MOMENTS = [datetime(2024, 1, 1, 0), None, datetime(2024, 1, 1, 1, 30)]
SECONDS = [1_704_067_200, 0, 1_704_072_600]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"ds": pl.Series(MOMENTS, dtype=pl.Datetime("ms"))}),
        pl.DataFrame({"ds": pl.Series(MOMENTS, dtype=pl.Datetime("ns"))}),
        pl.DataFrame({"ds": ["2024-01-01 00:00", None, "2024-01-01T01:30:00"]}),
        pd.DataFrame({"ds": pd.to_datetime(pd.Series(MOMENTS))}),
        pd.DataFrame({"ds": pd.Series(MOMENTS, dtype="datetime64[s]")}),
        pd.DataFrame({"ds": pd.Series(MOMENTS, dtype=object)}),
        pd.DataFrame({"ds": ["2024-01-01", None, "2024-01-01 01:30"]}),
        pd.DataFrame({"ds": pd.Series(["2024-01-01", None, "2024-01-01 01:30"], dtype="string")}),
        pa.table({"ds": pa.array(MOMENTS)}),
        pa.table({"ds": pa.array(MOMENTS, type=pa.timestamp("s"))}),
    ],
    ids=lambda frame: f"{type(frame).__module__.split('.')[0]}",
)
def test_times_of_every_kind(frame: Any) -> None:
    result = stamps(as_frame(frame)["ds"])
    np.testing.assert_array_equal(result.seconds, SECONDS)
    np.testing.assert_array_equal(result.missing, [False, True, False])
    assert result.zone is None
    assert not result.unreadable
    assert not result.fraction.any()


def test_times_before_1970_and_dates() -> None:
    assert stamps(column([date(1969, 12, 31)])).seconds.tolist() == [-86_400]
    assert stamps(column(["1969-12-31 23:59:59"])).seconds.tolist() == [-1]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"ds": pl.Series(MOMENTS[:1]).dt.replace_time_zone("Europe/Berlin")}),
        pd.DataFrame({"ds": pd.Series(MOMENTS[:1]).dt.tz_localize("Europe/Berlin")}),
        pa.table({"ds": pa.array([1_704_063_600], type=pa.timestamp("s", tz="Europe/Berlin"))}),
    ],
)
def test_aware_times_are_utc_and_keep_their_zone(frame: Any) -> None:
    result = stamps(as_frame(frame)["ds"])
    assert result.zone == "Europe/Berlin"
    assert result.seconds.tolist() == [SECONDS[0] - 3600]


def test_texts_with_offsets_are_utc() -> None:
    result = stamps(column(["2024-01-01T01:00:00+01:00", "2024-01-01T00:00:00Z"]))
    assert result.zone == "UTC"
    assert result.seconds.tolist() == [SECONDS[0], SECONDS[0]]


def test_unreadable_times_are_kept_with_their_row() -> None:
    result = stamps(column(["2024-01-01", "31.12.2024", None]))
    assert result.unreadable == {1: "'31.12.2024'"}
    mixed = stamps(column(["2024-01-01T00:00", "2024-01-01T00:00Z"]))
    assert set(mixed.unreadable) == {0, 1}


def test_fractions_of_a_second_are_seen() -> None:
    assert stamps(column(["2024-01-01T00:00:00.5", "2024-01-01T00:00:01"])).fraction.tolist() == [True, False]


def test_numbers_are_no_times() -> None:
    with pytest.raises(DataError) as caught:
        stamps(column([1, 2]))
    want = "want dates, datetimes or ISO text: build them from the numbers first."
    assert str(caught.value) == f"x: got numbers (Int64), {want}"


@pytest.mark.parametrize(
    "values",
    [
        pl.Series([1, None, 3]),
        pd.Series([1.0, None, 3.0]),
        pd.Series([1, None, 3], dtype="Int64"),
        pd.Series([1, None, 3], dtype=object),
        pd.Series([Decimal(1), None, Decimal(3)]),
        pd.Series([1, None, 3], dtype="int64[pyarrow]"),
        pa.chunked_array([[1, None], [3]]),
        pl.Series([Decimal(1), None, Decimal(3)]),
    ],
    ids=lambda values: f"{type(values).__module__.split('.')[0]}-{getattr(values, 'dtype', '')}",
)
def test_numbers_of_every_kind(values: Any) -> None:
    kind = {"polars": pl.DataFrame, "pandas": pd.DataFrame, "pyarrow": pa.table}[
        type(values).__module__.split(".")[0]
    ]
    result = cells(as_frame(kind({"x": values}))["x"])
    assert result.categories is None
    np.testing.assert_array_equal(result.values, [1, np.nan, 3])


def test_flags_are_numbers_and_text_is_numbered() -> None:
    np.testing.assert_array_equal(cells(column([True, False, None])).values, [1, 0, np.nan])
    text = cells(column(["b", None, "a", "b"]))
    assert text.categories == ("b", "a")
    np.testing.assert_array_equal(text.values, [0, np.nan, 1, 0])
    again = cells(column(["c", "a"]), text.categories)
    assert again.categories == ("b", "a", "c")
    np.testing.assert_array_equal(again.values, [2, 1])


def test_an_empty_column_is_missing_numbers() -> None:
    for series in (column([None, None]), column([None, None], dtype=pl.String)):
        result = cells(series)
        assert result.categories is None
        assert np.isnan(result.values).all()


def test_numbers_can_be_read_as_categories() -> None:
    assert cells(column([3, 1, 3]), ()).categories == ("3", "1")


def test_ids_are_numbered_in_order_of_appearance() -> None:
    known: dict[Any, int] = {"b": 0}
    assert codes(column(["a", "b", "a", "c"]), known).tolist() == [1, 0, 1, 2]
    assert known == {"b": 0, "a": 1, "c": 2}


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "America/Argentina/Buenos_Aires"])
def test_a_pandas_zone_keeps_its_name(zone: str) -> None:
    times = pd.Series(pd.to_datetime(["2024-01-01 00:00", None]).tz_localize(zone))
    found = stamps(as_frame(pd.DataFrame({"x": times}))["x"])
    assert found.zone == zone
    assert found.missing.tolist() == [False, True]
    assert found.seconds[0] == times[0].timestamp()
