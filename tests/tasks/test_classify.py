"""Settings of a classifier, and the weights and decisions made of them."""

from __future__ import annotations

import pytest
from classify_rows import reviews, topics

from statewise.core.config import from_mapping, to_mapping
from statewise.core.errors import ConfigError, DataError
from statewise.tasks.classify import Classify


def test_settings_survive_a_bundle():
    task = Classify(
        values=["a"],
        class_weights={"x": 2.0},
        costs={"x": {"y": 3.0}},
        pooling=["max", "last"],
        bidirectional=False,
    )
    assert from_mapping(Classify, to_mapping(task), "task") == task


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"tokenizer": "word"},
            "tokenizer: no such tokenizer 'word'. Did you mean 'words'?",
        ),
        ({"head_dropout": 1.0}, "head_dropout: got 1.0, want 0 ≤ rate < 1."),
        ({"subwords": -1}, "subwords: got -1, want 0 or more."),
        ({"focal": -0.5}, "focal: got -0.5, want 0 or more."),
        (
            {"class_weights": "equal"},
            "class_weights: got 'equal', want 'none', 'balanced' or a weight per label.",
        ),
        (
            {"class_weights": {"a": -1.0}},
            "class_weights: got {'a': -1.0}, want weights of 0 or more.",
        ),
        ({"precision": 1.5}, "precision: got 1.5, want a share from 0 (off) to 1."),
        ({"precision": 0.9}, "precision: want it together with positive, the label it is of."),
        ({"positive": "a"}, "precision: want it together with positive, the label it is of."),
        (
            {"precision": 0.9, "positive": "a", "costs": {"a": {"b": 1.0}}},
            "precision: got costs too, want one rule to decide by.",
        ),
        ({"costs": {"a": {"b": -1.0}}}, "costs: want numbers of 0 or more."),
        (
            {"multi_label": True, "positive": "a"},
            "multi_label: labels that stand alone have no costs and no positive one.",
        ),
    ],
)
def test_settings_that_do_not_fit(settings, message):
    with pytest.raises(ConfigError) as error:
        Classify(**settings)
    assert str(error.value) == message


def test_weights_of_labels():
    rows = Classify().rows({"text": ["a", "b", "c", "d"], "label": ["x", "y", "x", "x"]})
    labels = Classify().codec(rows).labels
    assert Classify().weights(labels) == [1.0, 1.0]
    assert Classify(class_weights="balanced").weights(labels) == [4 / 6, 2.0]
    assert Classify(class_weights={"y": 3.0}).weights(labels) == [1.0, 3.0]
    with pytest.raises(ConfigError) as error:
        Classify(class_weights={"z": 3.0}).weights(labels)
    assert str(error.value) == "class_weights: the training rows hold no label 'z'; they hold x, y."


def test_costs_of_labels():
    task = Classify(costs={"pos": {"neg": 5.0}})
    decision = task.codec(task.rows(reviews(10))).decision
    assert decision.costs == ((0.0, 1.0), (5.0, 0.0))
    with pytest.raises(ConfigError) as error:
        Classify(costs={"up": {"neg": 5.0}}).codec(task.rows(reviews(10)))
    assert str(error.value) == "costs: the training rows hold no label 'up'; they hold neg, pos."


def test_characters_and_byte_pairs_have_no_spelling():
    rows = Classify().rows(reviews(20))
    assert Classify().codec(rows).reader.subwords > 0
    assert Classify(tokenizer="characters").codec(rows).reader.subwords == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"text": ["a", " "], "label": ["x", "y"]}, "text: no text (row 1)."),
        ({"text": ["a", 5], "label": ["x", "y"]}, "text: got 5, want text (row 1)."),
        ({"text": ["a", "b"], "label": ["x", None]}, "label: no label (row 1)."),
        ({"text": ["a"], "lable": ["x"]}, "data: no column 'label'. Did you mean 'lable'?"),
    ],
)
def test_rows_that_do_not_fit(data, message):
    task = Classify()
    with pytest.raises(DataError) as error:
        task.codec(task.rows(data))
    assert str(error.value) == message


def test_several_labels_need_lists():
    task = Classify(label="tags", multi_label=True)
    assert task.codec(task.rows(topics(30))).labels.names == ("blame", "praise")
