"""Training a translator: what is held out, what the record says, files, bit-equal runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from translate_rows import SHORT, numerals

from statewise.core.errors import DataError
from statewise.models.translate import TranslateModel
from statewise.tasks.translate import Translate
from statewise.training.fit import fit
from statewise.training.plan import Settings
from statewise.training.plans.translate import KIND, TranslatePlan

TASK = Translate(embedding_size=8, max_length=20)


def plan(rows: object, **settings: object) -> TranslatePlan:
    return TranslatePlan(TASK, rows, Settings(KIND.backbone, KIND.train, **settings))  # type: ignore[arg-type]


def test_no_source_text_is_on_both_sides() -> None:
    rows = {"source": ["eins", "zwei", "eins", "drei"] * 5, "target": ["one", "two", "a one", "three"] * 5}
    made = plan(rows, validation=0.34)
    assert made.held_out is not None
    assert not set(made.rows["source"]) & set(made.held_out["source"])
    assert len(made.rows) + len(made.held_out) == 20


def test_rows_of_their_own_validate() -> None:
    made = plan(numerals(10), validation=numerals(4, seed=1))
    assert made.held_out is not None
    assert (len(made.rows), len(made.held_out)) == (10, 4)
    assert plan(numerals(10), validation=0).held_out is None
    assert not next(iter(plan({"source": ["a"] * 3, "target": ["b"] * 3}).problems())).validates


def test_the_record_tells_what_was_trained_on() -> None:
    facts = plan(numerals(20), validation=0.2).facts
    assert facts["rows"] + facts["validation_rows"] == 20
    assert facts["vocabulary"] == [10, 10]
    assert facts["cut"] == 0


def test_two_files_are_pairs(tmp_path: Path) -> None:
    rows = numerals(20)
    for name in ("source", "target"):
        (tmp_path / name).write_text("\n".join(rows[name]) + "\n", encoding="utf-8")
    files = (tmp_path / "source", tmp_path / "target")
    assert list(plan(files, validation=0).rows["target"]) == rows["target"]
    (tmp_path / "target").write_text("one\n", encoding="utf-8")
    with pytest.raises(DataError) as error:
        plan(files)
    assert str(error.value) == (
        f"data: unpaired lines: {files[0]} has 20, {files[1]} has 1; line n of each must belong together."
    )


def test_one_seed_gives_one_model_stopped_or_not(tmp_path: Path) -> None:
    def trained(path: Path | None) -> TranslateModel:
        made = fit(TASK, numerals(40), hidden_size=8, members=2, train=SHORT, progress=False, checkpoint=path)
        assert isinstance(made, TranslateModel)
        return made

    whole, again = trained(None), trained(tmp_path / "run")
    finished = trained(tmp_path / "run")  # the checkpoint of a finished run
    for other in (again, finished):
        for name, weight in whole.network.state_dict().items():
            assert torch.equal(weight, other.network.state_dict()[name]), name
