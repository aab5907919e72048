"""Records from everything that holds rows: the same columns, places for errors, parts."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import ConfigError, DataError
from statewise.rows.records import Records, records

ROWS = {"text": ["one", "two", "three"], "label": [1, 0, 1], "more": [0.5, 0.5, 0.5]}
WANT = ("text", "label")
LISTS = {"tokens": [["I", "am"], ["Here"]], "labels": [["PRON", "VERB"], ["ADV"]]}


@pytest.mark.parametrize(
    "make",
    [
        pl.DataFrame,
        lambda rows: pl.DataFrame(rows).lazy(),
        pd.DataFrame,
        pa.table,
        dict,
        lambda rows: {name: tuple(values) for name, values in rows.items()},
        lambda rows: {name: np.array(values) for name, values in rows.items()},
        lambda rows: pl.DataFrame(rows).to_dicts(),
    ],
)
def test_all_that_holds_rows_gives_the_same(make: Callable[[Any], Any]) -> None:
    found = records(make(ROWS), WANT)
    assert found.columns == {"text": ROWS["text"], "label": ROWS["label"]}
    assert len(found) == 3
    assert found["label"] == [1, 0, 1]
    assert found.place(2) == "row 2"
    assert records(make(ROWS), WANT, "validation").place(2) == "validation, row 2"


@pytest.mark.parametrize("make", [pl.DataFrame, pd.DataFrame, pa.table, dict])
def test_columns_of_lists(make: Callable[[Any], Any]) -> None:
    found = records(make(LISTS), ("tokens", "labels"))
    assert found.columns == LISTS


def test_missing_values_are_none_in_every_library() -> None:
    for frame in (
        pl.DataFrame({"text": ["a", None]}),
        pd.DataFrame({"text": ["a", None]}),
        pd.DataFrame({"text": pd.array(["a", pd.NA], dtype="string")}),
        pd.DataFrame({"text": pd.Series(["a", pd.NA], dtype=object)}),
    ):
        assert records(frame, ["text"])["text"] == ["a", None]


def test_a_list_of_values_is_the_one_wanted_column() -> None:
    assert records(["a film", "b"], ["review"]).columns == {"review": ["a film", "b"]}
    assert records([["a", "b"], ["c"]], ["tokens"]).columns == {"tokens": [["a", "b"], ["c"]]}
    assert records([{"a": 1}, {"b": 2}], ["a"])["a"] == [1, None]
    for values in (pl.Series(["a", "b"]), pd.Series(["a", "b"]), np.array(["a", "b"])):
        assert records(values, ["review"]).columns == {"review": ["a", "b"]}


def test_files_keep_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "train.csv.gz"
    path.write_bytes(gzip.compress(b'text,label\n"a\nb",1\nc,0\n'))
    found = records(path, WANT)
    assert found.columns == {"text": ["a\nb", "c"], "label": ["1", "0"]}
    assert found.place(1) == f"{path}, line 4"
    assert records(str(path), ["label"]).columns == {"label": ["1", "0"]}
    pl.DataFrame(ROWS).write_parquet(tmp_path / "a.parquet")
    assert records(tmp_path / "a.parquet", WANT).place(1) == f"{tmp_path}/a.parquet, row 1"


def test_plain_text_is_the_one_wanted_column(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n\ntwo\n", encoding="utf-8")
    assert records(path, ["lyrics"]).columns == {"lyrics": ["one", "two"]}
    assert records(path, ["lyrics"]).place(1) == f"{path}, line 3"
    assert records(path, ["lyrics"], running=True).columns == {"lyrics": ["one\n\ntwo\n"]}


def test_parallel_text_is_two_files(tmp_path: Path) -> None:
    source, target = tmp_path / "train.de", tmp_path / "train.en.gz"
    source.write_text("eins\nzwei\n", encoding="utf-8")
    target.write_bytes(gzip.compress(b"one\ntwo\n"))
    want = {"source": ["eins", "zwei"], "target": ["one", "two"]}
    found = records((source, str(target)), ("source", "target"))
    assert found.columns == want
    assert found.place(1) == f"{source} and {target}, line 2"
    assert records({"target": target, "source": source}, ("source", "target")).columns == want
    assert records({"target": target, "source": source}, ["source"]).columns == {"source": want["source"]}
    assert records((source,), ["source"]).columns == {"source": want["source"]}


def test_files_that_do_not_pair(tmp_path: Path) -> None:
    source, target = tmp_path / "a.de", tmp_path / "a.en"
    source.write_text("eins\nzwei\n", encoding="utf-8")
    target.write_text("one\n", encoding="utf-8")
    cases: list[tuple[Any, str]] = [
        (
            (source, target),
            f"data: unpaired lines: {source} has 2, {target} has 1; line n of each must belong together.",
        ),
        ((source,), "data: got one path, want 2: source, target."),
        (("a", 1), "data: got ('a', 1), want 2 paths: source, target."),
    ]
    for data, text in cases:
        with pytest.raises(DataError) as caught:
            records(data, ("source", "target"))
        assert str(caught.value) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ({"txt": ["a"], "label": [1]}, "data: no column 'text'. Did you mean 'txt'?"),
        (pl.DataFrame({"a": [1], "b": [2]}), "data: no column 'text'. Known: a, b."),
        ({"text": ["a"], "label": []}, "data: columns of different lengths: 'text' has 1, 'label' has 0."),
        ({"text": "a", "label": [1]}, "data: column 'text': got 'a', want a list."),
        ({"text": [], "label": []}, "data: no rows."),
        (pl.DataFrame({"text": [], "label": []}), "data: no rows."),
        ({}, "data: no rows."),
        ([], "data: no rows."),
        (["a"], "data: got 'a' (row 0), want a mapping with text, label."),
        ([{"text": "a"}, 5], "data: got 5 (row 1), want a mapping with text, label."),
        (5, "data: got int, want a path, a frame, a mapping of columns or a list of rows."),
        (None, "data: got NoneType, want a path, a frame, a mapping of columns or a list of rows."),
        (pl.Series(["a"]), "data: got Series, want a path, a frame, a mapping of columns or a list of rows."),
        (
            pd.DataFrame([[1, 2]], columns=["text", "text"]),
            "data: two columns of the frame have one name.",
        ),
    ],
)
def test_what_holds_no_rows(data: Any, text: str) -> None:
    with pytest.raises(DataError) as caught:
        records(data, WANT)
    assert str(caught.value) == text


def test_a_file_without_names_or_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("1\ta film\n0\tanother\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        records(path, WANT)
    first = "The first line must name the columns."
    assert str(caught.value) == f"{path}: no column 'text'. Known: 1, a film. {first}"
    path.write_text("Text\tlabel\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        records(path, WANT)
    assert str(caught.value) == f"{path}: no column 'text'. Did you mean 'Text'?"
    path.write_text("text\tlabel\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        records(path, WANT)
    assert str(caught.value) == f"{path}: no rows."


def test_parts_keep_their_places(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a\n\nb\nc\n", encoding="utf-8")
    part = records(path, ["text"]).take([2, 0])
    assert part["text"] == ["c", "a"]
    assert part.place(0) == f"{path}, line 4"
    assert len(part.take([])) == 0


@given(st.integers(2, 40), st.floats(0.0, 0.99), st.integers(0, 3))
def test_a_split_is_two_parts_that_both_have_rows(count: int, share: float, seed: int) -> None:
    whole = records({"n": list(range(count))}, ["n"])
    rest, part = whole.split(share, seed)
    assert sorted(rest["n"] + part["n"]) == whole["n"]
    assert rest["n"] == sorted(rest["n"])
    assert part["n"] == sorted(part["n"]) == whole.split(share, seed)[1]["n"]
    assert len(rest) >= 1
    assert (len(part) >= 1) == (share > 0)


def test_a_split_by_a_column_keeps_equal_values_together() -> None:
    rows: Records = records({"en": ["a", "b", "a", "c"] * 5, "tokens": [["x"], ["y"]] * 10}, ["en", "tokens"])
    for seed in range(5):
        rest, part = rows.split(0.3, seed, by="en")
        assert not set(rest["en"]) & set(part["en"])
        assert len(set(part["en"])) == 1
    rest, part = rows.split(0.5, by="tokens")
    assert part["tokens"] in ([["x"]] * 10, [["y"]] * 10)


def test_what_cannot_be_split() -> None:
    one = records({"text": ["a"]}, ["text"])
    assert [len(part) for part in one.split(0)] == [1, 0]
    with pytest.raises(DataError, match=r"^data: one row, too few to set 0\.1 of them aside\.$"):
        one.split(0.1)
    with pytest.raises(DataError, match=r"^data: one value in 'text', too few to set 0\.1 of them aside\.$"):
        one.split(0.1, by="text")
    with pytest.raises(ConfigError, match=r"^share: got 1\.0, want 0 ≤ share < 1\.$"):
        one.split(1.0)
