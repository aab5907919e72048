"""docs/translate.md: its code runs, and it names every setting of the task and of predict."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import pytest

from statewise.models.translate import TranslateModel
from statewise.nn.decoder import SEES
from statewise.tasks.translate import Translate

PAGE = (Path(__file__).parents[2] / "docs" / "translate.md").read_text(encoding="utf-8")


def test_the_code_runs(tmp_path, monkeypatch, capsys):
    pytest.importorskip("sacrebleu")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    exec("\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)), {})
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "the small mouse sleeps."
    assert any("does the red cat jump?" in line for line in said)
    assert (tmp_path / "looked.png").is_file()


def test_every_setting_is_named():
    for field in dataclasses.fields(Translate):
        assert re.search(rf"\b{field.name}\b", PAGE), field.name
    for name in list(inspect.signature(TranslateModel.predict).parameters)[2:]:
        assert f"`{name}`" in PAGE, name
    for name in SEES:
        assert f'`"{name}"`' in PAGE, name
