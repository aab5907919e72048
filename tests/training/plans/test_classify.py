"""How the rows of a classifier are split, and what its plan does not take."""

from __future__ import annotations

import numpy as np
import pytest
from classify_rows import reviews

import statewise as sw
from statewise.core.errors import ConfigError
from statewise.training.plans.classify import _drawn


def test_every_label_gives_its_share():
    labels = ["a"] * 700 + ["b"] * 200 + ["c"] * 100
    held = _drawn(labels, 0.1, seed=0)
    assert [int(held[np.array(labels) == name].sum()) for name in "abc"] == [70, 20, 10]
    assert (held == _drawn(labels, 0.1, seed=0)).all()
    assert (held != _drawn(labels, 0.1, seed=1)).any()


def test_rare_labels_are_drawn_now_and_then_but_never_all_of_them():
    labels = [f"label {number}" for number in range(500) for _ in range(2)]
    held = _drawn(labels, 0.1, seed=0)
    assert 70 < held.sum() < 130
    assert not (held[::2] & held[1::2]).any()


def test_whole_sequences_only():
    with pytest.raises(ConfigError) as error:
        sw.fit(sw.Classify(), reviews(20), train=sw.TrainConfig(steps=1, chunk_length=4), progress=False)
    assert str(error.value) == (
        "chunk_length: a classifier learns from whole sequences: leave chunk_length out (max_length cuts "
        "long ones)."
    )
