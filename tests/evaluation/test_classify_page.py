"""docs/classify.md: its code runs, and it names what the task has."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from statewise.tasks.classify import Classify

PAGE = (Path(__file__).parents[2] / "docs" / "classify.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("praise ")
    assert "['blame', 'praise']" in said
    assert said[-1] == "rising"


def test_settings_that_it_names_are_those_of_the_task():
    known = {field.name for field in dataclasses.fields(Classify)}
    for name in re.findall(r"sw\.Classify\((\w+)=", PAGE):
        assert name in known
    for name in ("tokenizer", "subwords", "max_length", "keep", "pooling", "n_grams", "bidirectional"):
        assert re.search(rf"`{name}[`=]", PAGE)
