"""The tagging benchmarks: members that processes train apart make the run of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import tagging
from tag_models import SMALL, trained_tagger
from tag_rows import tag_rows

from statewise.tasks.tag import Tag


def test_members_trained_apart_are_those_of_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: Any = (tag_rows(20), tag_rows(8, seed=1))
    train = {"epochs": 1, "batch_tokens": 100, "validate_every": 100, "threads": 1, "patience": 0}
    settings = {"backbone": {"hidden_size": 16}, "train": train}
    start = trained_tagger(members=2)
    found = []
    for folder in ("apart", "together"):
        monkeypatch.setattr(tagging, "CACHE", tmp_path / folder)
        if folder == "apart":
            for member in (2, 0, 1):
                alone, _ = tagging.trained("run", Tag(**SMALL), *rows, settings, 3, start, member)
                assert alone.members == 1
        model, seconds = tagging.trained("run", Tag(**SMALL), *rows, settings, 3, start)
        found.append([weight.clone() for weight in model.network.state_dict().values()])
        assert float((tmp_path / folder / "run" / "3.seconds").read_text()) == pytest.approx(seconds, abs=0.1)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
