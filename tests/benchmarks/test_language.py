"""Training that may be stopped: what is kept, and what is added up."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.language import finished, trained
from generate_rows import text

import statewise as sw
from statewise.nn.backbone import BackboneConfig
from statewise.training.config import TrainConfig
from statewise.training.plan import Settings
from statewise.training.plans.generate import GeneratePlan


def plan() -> GeneratePlan:
    train = TrainConfig(steps=6, batch_size=4, chunk_length=16, validate_every=3)
    return GeneratePlan(
        sw.Generate(), {"text": [text(30)]}, Settings(BackboneConfig("gru", 8, 1), train, validation=0.2)
    )


def test_a_finished_run_is_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stem = tmp_path / "run"
    assert finished(stem) is None
    model, outcome = trained(plan(), stem)
    assert outcome["step"] == 6
    assert "step 6, 100.0%" in capsys.readouterr().out
    again = finished(stem)
    assert again is not None
    assert again.outcome["cpu_minutes"] == pytest.approx(outcome["cpu_minutes"], rel=0.5)
    assert again.model.generate("the", 9, seed=1) == model.generate("the", 9, seed=1)
    resumed, more = trained(plan(), stem)
    assert capsys.readouterr().out == ""
    assert resumed.generate("the", 9, seed=1) == model.generate("the", 9, seed=1)
    assert more["cpu_minutes"] == again.outcome["cpu_minutes"]


def test_processor_time_of_earlier_parts_is_added(tmp_path: Path) -> None:
    stem = tmp_path / "run"
    stem.with_suffix(".seconds").write_text("600.0", encoding="utf-8")
    assert 10 < trained(plan(), stem).outcome["cpu_minutes"] < 10.5
