"""docs/text.md: its code runs, its table of formats is complete, its errors are the ones that are raised."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from statewise.core.errors import DataError
from statewise.rows.formats.table import FORMATS
from statewise.rows.records import records
from statewise.rows.text.tokenizers import TOKENIZERS

PAGE = (Path(__file__).parents[2] / "docs" / "text.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tokenizers")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 3
    for block in blocks:
        exec(block, names)


def test_every_format_and_tokeniser_is_named() -> None:
    for suffix in set(FORMATS) - {".ndjson", ".pq"}:
        assert f"{suffix}" in PAGE
    for kind in TOKENIZERS:
        assert f'`"{kind}"`' in PAGE


def test_errors_are_as_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.jsonl").write_text('{}\n{}\n{"text": "ab"; "x": 1}', encoding="utf-8")
    Path("train.csv").write_text("text,label\na,b\na,b\na,b\na,b,c\n", encoding="utf-8")
    for name in ("train.jsonl", "train.csv"):
        with pytest.raises(DataError) as caught:
            records(name, ["text"])
        assert str(caught.value) in PAGE
