"""What cells must hold, and the one line that says which do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from statewise.core.errors import DataError
from statewise.rows.cells import aligned, texts, tokens
from statewise.rows.records import Records, records


def rows(**columns: list[Any]) -> Records:
    return records(columns, list(columns))


def test_texts() -> None:
    assert texts(rows(text=["a", " b\n"]), "text") == ["a", " b\n"]
    assert texts(rows(text=["a", "", None, float("nan")]), "text", empty=True) == ["a", "", "", ""]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (["a", None], "text: no text (row 1)."),
        (["a", " \n", "", None], "text: no text (row 1, and 2 more)."),
        (["a", 5, 6], "text: got 5, want text (row 1, and 1 more)."),
        ([["a"]], "text: got ['a'], want text (row 0)."),
        ([float("nan")], "text: no text (row 0)."),
    ],
)
def test_what_is_no_text(values: list[Any], told: str) -> None:
    with pytest.raises(DataError) as caught:
        texts(rows(text=values), "text")
    assert str(caught.value) == told


def test_tokens() -> None:
    values = [["a", "b"], ("c",), np.array(["d", "e"]), np.array(["f"], dtype=object), "g  h\n"]
    assert tokens(rows(tokens=values), "tokens") == [["a", "b"], ["c"], ["d", "e"], ["f"], ["g", "h"]]


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "tokens: no tokens (row 1)."),
        (None, "tokens: no tokens (row 1)."),
        ("  ", "tokens: no tokens (row 1)."),
        (5, "tokens: got 5, want a list of texts (row 1)."),
        (["a", None], "tokens: got ['a', None], want a list of texts (row 1)."),
        (["a", "", ""], "tokens: token 2 is empty (row 1)."),
    ],
)
def test_what_are_no_tokens(value: Any, told: str) -> None:
    with pytest.raises(DataError) as caught:
        tokens(rows(tokens=[["fine"], value]), "tokens")
    assert str(caught.value) == told


def test_as_many_labels_as_tokens(tmp_path: Path) -> None:
    good = rows(tokens=["I am", ["Here"]], labels=[["A", "B"], "C"])
    assert aligned(good, "tokens", "labels", "tag") == ([["I", "am"], ["Here"]], [["A", "B"], ["C"]])
    with pytest.raises(DataError, match=r"^labels: no labels \(row 1\)\.$"):
        aligned(rows(tokens=["a", "b"], labels=["A", None]), "tokens", "labels", "tag")
    path = tmp_path / "train.jsonl"
    path.write_text(
        '{"t": ["a"], "l": ["X"]}\n{"t": ["a", "b"], "l": ["X"]}\n{"t": ["a"], "l": ["X", "Y"]}\n',
        encoding="utf-8",
    )
    with pytest.raises(DataError) as caught:
        aligned(records(path, ["t", "l"]), "t", "l", "tag")
    assert str(caught.value) == f"tag: 1 label for 2 tokens ({path}, line 2, and 1 more)."
