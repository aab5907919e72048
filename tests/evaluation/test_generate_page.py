"""docs/generate.md: its code runs, and it names what the task has."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import polars as pl

from statewise.tasks.generate import Generate

PAGE = (Path(__file__).parents[2] / "docs" / "generate.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == " is gone"
    assert any(line.startswith("'long live the king t") for line in said)
    assert "['y', 'z', 'x']" in said or "['y', 'z']" in said
    assert any(line.startswith("6-grams") for line in said)


def test_settings_that_it_names_are_those_of_the_task():
    known = {field.name for field in dataclasses.fields(Generate)}
    for call in re.findall(r"sw\.Generate\((.*?)\)", PAGE):
        for name in re.findall(r"(\w+)=", call):
            assert name in known
    for name in ("documents", "items", "tokenizer", "softmax", "cutoffs", "tied", "weight_drop"):
        assert re.search(rf"`[^`]*\b{name}\b", PAGE)


def test_the_log_of_the_example_is_what_the_page_says():
    log = pl.read_csv(Path(__file__).parents[2] / "examples" / "data" / "aircraft_legs.csv.gz")
    assert log.columns == ["aircraft", "destination"]
    assert (len(log), log["aircraft"].n_unique()) == (79_953, 295)
    assert "80,000 legs" in PAGE
    assert "59 of 295" in PAGE
    assert not log.null_count().sum_horizontal().sum()
