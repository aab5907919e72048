"""How classifiers are compared: settings, the cache of finished seeds, and the row that is written."""

from __future__ import annotations

import json

import pytest
from benchmarks import classifying
from classify_rows import reviews


@pytest.fixture
def study() -> classifying.Study:
    return classifying.Study(
        name="made_up",
        what="made-up reviews",
        bar=90,
        source="nobody",
        protocol="none",
        task={"subwords": 50, "embedding_size": 8},
        fit={"hidden_size": 8},
        train={"epochs": 8, "batch_size": 16, "learning_rate": 1e-2, "validate_every": 20},
        members=2,
        seeds=(0,),
    )


def test_changes_leave_the_rest(study):
    changed = study.changed({"fit": {"cell": "gru"}, "members": 1})
    assert changed.fit == {"hidden_size": 8, "cell": "gru"}
    assert (changed.members, changed.task) == (1, study.task)


def test_a_finished_seed_is_read_back_and_the_row_is_written(study, tmp_path, monkeypatch, capsys):
    pytest.importorskip("sklearn")
    monkeypatch.setattr(classifying, "CACHE", tmp_path)
    monkeypatch.setattr("benchmarks.recording.FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["made_up"])
    data = reviews(150)
    classifying.main(study, "Made up.", data, 0.2, reviews(60, seed=1))
    (row,) = json.loads((tmp_path / "results" / "made_up.json").read_text(encoding="utf-8"))
    assert row["met"] is True
    assert "1 seeds of 2 networks averaged; one network" in row["measured"]
    assert len(row["figures"]["single_networks"]) == 2
    assert row["figures"]["classes"]["labels"] == ["neg", "pos"]
    again, seconds = classifying.fitted(study, data, 0.2, 0)
    assert seconds == pytest.approx(row["figures"]["cpu_seconds"][0], rel=1e-3)
    assert classifying.right(again, reviews(60, seed=1)) > 0.9
    assert "made-up reviews" in capsys.readouterr().out
