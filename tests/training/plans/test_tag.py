"""Fitting a tagger: what is held out, what is recorded, what is refused before training begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tag_models import SMALL, TRAIN, trained_tagger
from tag_rows import tag_rows

from statewise.core.errors import DataError
from statewise.models.loading import load
from statewise.models.tag import TagModel
from statewise.tasks.tag import Tag
from statewise.training.config import TrainConfig
from statewise.training.fit import fit

SHORT = TrainConfig(**{**vars(TRAIN), "epochs": 1})


def test_what_is_recorded() -> None:
    training = trained_tagger().training
    assert (training["rows"], training["validation_rows"]) == (60, 20)
    assert training["labels"]["S-person"] > 0
    assert set(training["calibration"]) == {
        "temperature",
        "ece_before",
        "nats_before",
        "ece_after",
        "nats_after",
        "platt",
        "threshold",
        "f1",
    }
    assert training["calibration"]["f1"] > 0.9


def test_a_share_is_held_out() -> None:
    model = fit(Tag(**SMALL), tag_rows(20), validation=0.2, hidden_size=4, train=SHORT, progress=False)
    assert (model.training["rows"], model.training["validation_rows"]) == (16, 4)


def test_without_held_out_rows_nothing_is_calibrated() -> None:
    model = fit(Tag(**SMALL), tag_rows(8), validation=0, hidden_size=4, train=SHORT, progress=False)
    assert isinstance(model, TagModel)
    assert model.training["calibration"] == {}
    assert float(model.tagger.temperature) == 1.0
    assert model.codec.threshold == 0.0


def test_members_start_from_seeds_of_their_own_and_the_first_is_the_single_one() -> None:
    one = fit(Tag(**SMALL), tag_rows(8), validation=0, hidden_size=4, train=SHORT, progress=False)
    two = fit(Tag(**SMALL), tag_rows(8), validation=0, hidden_size=4, members=2, train=SHORT, progress=False)
    assert isinstance(one, TagModel)
    assert isinstance(two, TagModel)
    first, second = two.tagger.parts
    alone = one.tagger.parts[0]
    assert torch.equal(first.readout.head.weight, alone.readout.head.weight)
    assert not torch.equal(first.readout.head.weight, second.readout.head.weight)


def test_a_run_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    def run(path: Path) -> TagModel:
        rows, train = tag_rows(12), TrainConfig(**{**vars(SHORT), "epochs": 2})
        model = fit(
            Tag(**SMALL), rows, validation=0.2, hidden_size=4, train=train, progress=False, checkpoint=path
        )
        assert isinstance(model, TagModel)
        return model

    first, again = run(tmp_path / "run"), run(tmp_path / "run")
    found = [model.predict([["Ann", "Lee"]], threshold=0.0)[0]["confidence"] for model in (first, again)]
    np.testing.assert_array_equal(*found)


def test_given_vectors_are_used_saved_and_not_trained(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text("ann 1.0 2.0\nsend 3.0 4.0\n", encoding="utf-8")
    task = Tag(vectors=str(path), **SMALL)
    model = fit(task, tag_rows(8), validation=0, hidden_size=4, members=2, train=SHORT, progress=False)
    assert isinstance(model, TagModel)
    saved = model.save(tmp_path / "tagger.sw")
    path.unlink()  # what a bundle needs is in it
    again = load(saved)
    assert isinstance(again, TagModel)
    for member in (*model.tagger.parts, *again.tagger.parts):
        assert member.front.vectors.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]
    assert again.predict(["send Ann bread"]) == model.predict(["send Ann bread"])


def test_ragged_rows_are_refused_before_training(tmp_path: Path) -> None:
    path = tmp_path / "train.conll"
    path.write_text("a O\nb B-x\n\nc\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train\.conll"):
        fit(Tag(**SMALL), path, train=SHORT, progress=False)
    rows = tag_rows(5)
    rows["labels"][3] = rows["labels"][3][:-1]
    with pytest.raises(DataError, match=r"^tag: \d labels for \d tokens \(row 3\)\.$"):
        fit(Tag(**SMALL), rows, train=SHORT, progress=False)
