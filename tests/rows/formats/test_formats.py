"""Each format gives its columns and the lines its rows begin in; what is malformed is named with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import DataError
from statewise.rows.formats.columns import Columns
from statewise.rows.formats.plain import read_running
from statewise.rows.formats.table import FORMATS, read_columns

WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)
CONLLU = """\
# sent_id = 1
# text = I don't.
1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
2\tdo\tdo\tAUX\tVBP\tMood=Ind\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tknow\tknow\tVERB\tVB\t_\t_\t_\t_\t_

# sent_id = 2
1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_
"""


def found(tmp_path: Path, name: str, content: str) -> Columns:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", newline="")
    return read_columns(path)


def test_jsonl(tmp_path: Path) -> None:
    content = '{"text": "a\\nb", "n": 1}\n\n  {"tokens": ["x"], "text": null}\r\n'
    columns, numbers, unit, names = found(tmp_path, "a.jsonl", content)
    assert columns == {"text": ["a\nb", None], "n": [1, None], "tokens": [None, ["x"]]}
    assert (list(numbers), unit, names) == ([1, 3], "line", "own")
    assert found(tmp_path, "a.ndjson", "") == Columns({}, [])


def test_csv(tmp_path: Path) -> None:
    content = 'label,text\r\n1,"one, ""two""\r\nthree"\r\n\r\n0,\r\n2,"é"\r\n'
    columns, numbers, _, names = found(tmp_path, "a.csv", content)
    assert columns == {"label": ["1", "0", "2"], "text": ['one, "two"\nthree', "", "é"]}
    assert (list(numbers), names) == ([2, 5, 6], "first line")


def test_tsv_keeps_quotation_marks(tmp_path: Path) -> None:
    columns, numbers, *_ = found(tmp_path, "a.tsv", 'label\ttext\n1\t"quoted" he said\n\n0\t"open\n')
    assert columns == {"label": ["1", "0"], "text": ['"quoted" he said', '"open']}
    assert list(numbers) == [2, 4]
    assert found(tmp_path, "b.tsv", "label\ttext\n\tno label\n").columns["label"] == [""]


def test_a_huge_cell(tmp_path: Path) -> None:
    text = "word " * 100_000
    assert found(tmp_path, "a.csv", f'text\n"{text}"\n').columns == {"text": [text]}
    assert found(tmp_path, "a.jsonl", json.dumps({"text": text})).columns == {"text": [text]}


def test_conll(tmp_path: Path) -> None:
    content = (
        "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n \n# # O O\n\n-DOCSTART- -X- O O\n"
    )
    columns, numbers, *_ = found(tmp_path, "a.conll", content)
    assert columns == {
        "tokens": [["EU", "rejects"], ["#"]],
        "labels": [["B-ORG", "O"], ["O"]],
        "column_2": [["NNP", "VBZ"], ["#"]],
        "column_3": [["B-NP", "B-VP"], ["O"]],
        "column_4": [["B-ORG", "O"], ["O"]],
    }
    assert list(numbers) == [3, 7]


def test_conll_with_tabs_may_hold_spaces_and_with_one_column_has_no_labels(tmp_path: Path) -> None:
    columns = found(tmp_path, "a.conll", "New York\tB-place\r\nis\tO").columns
    assert columns["tokens"] == [["New York", "is"]]
    assert columns["labels"] == [["B-place", "O"]]
    assert found(tmp_path, "b.conll", "one\ntwo\n\nthree").columns == {"tokens": [["one", "two"], ["three"]]}


def test_conllu_has_the_words_of_ranges_and_no_empty_nodes(tmp_path: Path) -> None:
    columns, numbers, *_ = found(tmp_path, "a.conllu", CONLLU)
    assert columns["tokens"] == [["I", "do", "n't"], ["Yes"]]
    assert columns["upos"] == [["PRON", "AUX", "PART"], ["INTJ"]]
    assert columns["head"] == [["2", "0", "2"], ["0"]]
    assert list(columns) == ["tokens", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"]
    assert list(numbers) == [3, 10]


def test_plain_text_by_line_and_as_one(tmp_path: Path) -> None:
    columns, numbers, _, names = found(tmp_path, "a.txt", "one\n\n two \n")
    assert (columns, list(numbers), names) == ({"text": ["one", " two "]}, [1, 3], "none")
    assert read_running(tmp_path / "a.txt").columns == {"text": ["one\n\n two \n"]}
    (tmp_path / "empty.txt").write_bytes(b"")
    assert read_running(tmp_path / "empty.txt") == Columns({"text": []}, [], names="none")


def test_parquet_rows_are_numbered_from_zero(tmp_path: Path) -> None:
    frame = pl.DataFrame({"text": ["a", "b"], "tokens": [["x", "y"], ["z"]]})
    frame.write_parquet(tmp_path / "a.parquet")
    columns, numbers, unit, _ = read_columns(tmp_path / "a.parquet")
    assert columns == {"text": ["a", "b"], "tokens": [["x", "y"], ["z"]]}
    assert (list(numbers), unit) == ([0, 1], "row")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", '{"a": 1}\n{"a" 1}\n', ", line 2: not JSON: Expecting ':' delimiter (column 6)."),
        (
            "a.jsonl",
            '{"a": "\\ud83d"}',
            ", line 1: half a character (\\ud800 to \\udfff alone): was the text cut?",
        ),
        ("a.jsonl", "[1]\n", ", line 1: got a list, want an object."),
        ("a.jsonl", "\n3\n", ", line 2: got a number, want an object."),
        (
            "a.jsonl",
            '{"a": 1' + "0" * 5000 + "}",
            ", line 1: not JSON that can be read: too deep or too long.",
        ),
        ("a.jsonl", '{"a":' + "[" * 100_000, ", line 1: not JSON that can be read: too deep or too long."),
        (
            "a.csv",
            'a,b\n1,"x\ny"\n1,2,3\n',
            ", line 4: 3 cells, want 2 as in the first line: is a text with ',' not in quotes?",
        ),
        (
            "a.csv",
            "a,b\n1\n",
            ", line 2: 1 cell, want 2 as in the first line: is a text with ',' not in quotes?",
        ),
        ("a.csv", 'a,b\n1,"x\n2,y\n', ", line 2: a quotation mark that is never closed."),
        ("a.csv", 'a,b\n1,"x"y\n', ", line 2: not readable as CSV: ',' expected after '\"'."),
        ("a.csv", "a,b,a\n", ", line 1: two columns are named 'a'."),
        ("a.csv", "a;b\n1;2\n", ", line 1: cells separated by ';', want ',': write it with ','."),
        ("a.csv", "a\tb\n", ", line 1: cells separated by tabs, want ',': name it .tsv."),
        ("a.tsv", "a,b\n", ", line 1: cells separated by ',', want tabs: name it .csv."),
        (
            "a.tsv",
            "a\tb\n1\t2\t3\n",
            ", line 2: 3 cells, want 2 as in the first line: does a text hold a tab?",
        ),
        ("a.conll", "a B\n\nc\n", ", line 3: 1 column, want 2 as in line 1."),
        ("a.conll", "a\tB\n\tC\n", ", line 2: column 1 is empty."),
        ("a.conllu", "# x\n1\tI\tPRON\n", ", line 2: 3 columns, want 10 between tabs."),
    ],
)
def test_malformed_files(tmp_path: Path, name: str, content: str, told: str) -> None:
    with pytest.raises(DataError) as caught:
        found(tmp_path, name, content)
    assert str(caught.value) == f"{tmp_path / name}{told}"


def test_formats_that_are_not_known_or_not_what_the_name_says(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.doc: cannot read '\.doc' files, want \.csv, .*name plain text \.txt\.$"
    ):
        found(tmp_path, "a.doc", "x")
    with pytest.raises(DataError, match=r"a\.parquet: not a readable Parquet file: .*$"):
        found(tmp_path, "a.parquet", "x")


def test_whole_characters_beyond_the_basic_plane_are_fine(tmp_path: Path) -> None:
    assert found(tmp_path, "a.jsonl", '{"a": "\\ud83d\\ude00"}').columns == {"a": ["😀"]}


def test_a_text_is_not_taken_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^a film or two: no such file; a text itself goes in a list\.$"):
        read_columns(Path("a film\nor two"))
    with pytest.raises(DataError, match=r": is a folder, want a file\.$"):
        read_columns(tmp_path)
    with pytest.raises(DataError, match=r"^what a film: no such file; a text itself goes in a list\.$"):
        read_columns(Path("what a film"))
    with pytest.raises(DataError, match=r"^(xx){40}…: no such file; a text itself goes in a list\.$"):
        read_columns(Path("x" * 5000))


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_file_has_no_rows(tmp_path: Path, suffix: str) -> None:
    if suffix in (".parquet", ".pq"):
        pl.DataFrame().write_parquet(tmp_path / f"a{suffix}")
        assert list(read_columns(tmp_path / f"a{suffix}").numbers) == []
    else:
        assert list(found(tmp_path, f"a{suffix}", "").numbers) == []


BYTES = st.binary(max_size=60) | st.text('a\t,"\n\r{}[]:#1-.é ', max_size=60).map(str.encode)


@pytest.mark.parametrize("packed", ["", ".gz", ".xz"])
@pytest.mark.parametrize("suffix", FORMATS)
@given(BYTES)
def test_whatever_the_bytes_there_are_columns_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, packed: str, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{suffix}{packed}"
    path.write_bytes(content)
    told = ""
    try:
        columns, numbers, *_ = read_columns(path)
    except DataError as error:
        columns, numbers, told = {}, [], str(error)
    assert {len(values) for values in columns.values()} <= {len(numbers)}
    assert "\n" not in told
    assert not told or str(path) in told


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1))
def test_what_polars_writes_as_csv_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    frame = pl.DataFrame(rows, schema=["text", "label"], orient="row")
    frame.write_csv(path)
    assert read_columns(path).columns == frame.to_dict(as_series=False)


@given(st.lists(st.dictionaries(st.just("text"), st.text(), min_size=1), min_size=1))
def test_what_json_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    assert read_columns(path).columns == {"text": [row["text"] for row in rows]}
