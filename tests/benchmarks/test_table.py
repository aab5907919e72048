"""benchmarks/table.py: stored results become the table in the README, and a bad file is named."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
RESULT = {
    "name": "etth1_mae",
    "what": "ETTh1 | MAE",
    "bar": "≤ 1.10",
    "measured": "1.05",
    "command": "python benchmarks/quality/etth1.py",
    "machine": "2 cores",
    "met": True,
    "raw": {"seeds": [1.04, 1.06]},
}


@pytest.fixture(scope="module")
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmarks_table", ROOT / "benchmarks" / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_results_become_rows_in_order_of_their_names(table: ModuleType, tmp_path: Path) -> None:
    missed = {**RESULT, "name": "a_first", "what": "speed", "met": False}
    (tmp_path / "b.json").write_text(json.dumps([RESULT, missed]), encoding="utf-8")
    text = table.markdown(table.read_results(tmp_path))
    assert text.splitlines() == [
        "| what | bar | measured | met | command |",
        "| --- | --- | --- | --- | --- |",
        "| speed | ≤ 1.10 | 1.05 | **no** | `python benchmarks/quality/etth1.py` |",
        "| ETTh1 \\| MAE | ≤ 1.10 | 1.05 | yes | `python benchmarks/quality/etth1.py` |",
        "",
        "Measured on: 2 cores.",
    ]


def test_only_the_part_between_the_markers_is_replaced(table: ModuleType) -> None:
    readme = f"before\n{table.BEGIN}\nold\n{table.END}\nafter"
    assert table.filled(readme, "new") == f"before\n{table.BEGIN}\nnew\n{table.END}\nafter"
    assert table.filled(table.filled(readme, "new"), "new") == table.filled(readme, "new")


def test_a_readme_without_markers_is_refused(table: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"^README\.md: want the markers <!-- results --> and"):
        table.filled("nothing", "new")


def test_a_bad_result_names_file_and_field(table: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps({**RESULT, "met": "yes"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^b\.json: met: got 'yes', want a bool\.$"):
        table.read_results(tmp_path)


def test_the_readme_shows_the_stored_results(table: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert table.main(["--check"]) == 0, capsys.readouterr().out
