"""Columns come back as a frame of the user's own library."""

from __future__ import annotations

import polars as pl
import pytest

from statewise.rows.frame_like import frame_like

COLUMNS = {"label": ["a", "b"], "tags": [["x"], []]}


@pytest.mark.parametrize(
    "data", ["rows.csv", [1, 2], {"text": ["a", "b"]}, pl.DataFrame({"text": ["a", "b"]})]
)
def test_polars_where_nothing_else_is_asked_for(data):
    made = frame_like(COLUMNS, data)
    assert isinstance(made, pl.DataFrame)
    assert made["tags"].to_list() == [["x"], []]


def test_pandas_and_its_index():
    pd = pytest.importorskip("pandas")
    made = frame_like(COLUMNS, pd.DataFrame({"text": ["a", "b"]}, index=[4, 2]))
    assert isinstance(made, pd.DataFrame)
    assert made.index.tolist() == [4, 2]
    other = frame_like(COLUMNS, pd.DataFrame({"text": ["a"]}, index=[4]))
    assert other.index.tolist() == [0, 1]


def test_arrow():
    pa = pytest.importorskip("pyarrow")
    assert isinstance(frame_like(COLUMNS, pa.table({"text": ["a", "b"]})), pa.Table)
