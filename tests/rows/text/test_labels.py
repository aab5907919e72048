"""Labels: order, kinds, counts, unknown ones, round trips."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from statewise.core.errors import BundleError, DataError
from statewise.rows.text.labels import Labels


def test_labels_are_sorted_and_counted() -> None:
    labels = Labels.fit(["spam", "ham", "spam"])
    assert labels == Labels(("ham", "spam"), (1, 2))
    assert labels.majority == "spam"
    assert labels.encode(["spam", "ham"]).tolist() == [1, 0]
    assert labels.decode([1, 0]) == ["spam", "ham"]
    assert len(labels) == 2


def test_whole_numbers_are_sorted_by_size_and_stay_numbers() -> None:
    labels = Labels.fit([10, np.int64(9), 2.0])
    assert labels.names == (2, 9, 10)
    assert all(type(name) is int for name in labels.names)


def test_a_label_is_known_by_its_spelling() -> None:
    labels = Labels.fit([1, "1", 0])
    assert labels == Labels((0, 1), (1, 2))
    assert labels.encode(["1", 1, 1.0, np.int32(0)]).tolist() == [1, 1, 1, 0]
    flags = Labels.fit([True, np.bool_(False)])
    assert flags.names == (False, True)
    assert flags.encode(["true", False]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["a", None], "label: no label (row 1)."),
        ([float("nan")], "label: no label (row 0)."),
        (["a", ""], "label: no label (row 1)."),
        ([0.5], "label: got 0.5, want text, a whole number or true or false (row 0)."),
        ([["a"]], "label: got ['a'], want text, a whole number or true or false (row 0)."),
        ([], "label: the training rows hold no label."),
    ],
)
def test_what_is_no_label(values: list[Any], text: str) -> None:
    with pytest.raises(DataError) as caught:
        Labels.fit(values)
    assert str(caught.value) == text


def test_an_unknown_label_is_named_with_its_place() -> None:
    labels = Labels.fit(["Spam", "Ham"])
    with pytest.raises(DataError) as caught:
        labels.encode(["Ham", "spam"], "kind", lambda row: f"mail.csv, line {row + 2}")
    told = "kind: 'spam' is not among the labels of the training rows (mail.csv, line 3)."
    assert str(caught.value) == told + " Did you mean 'Spam'?"


def test_round_trip() -> None:
    for values in (["b", "a", "b"], [3, 1], [True, False]):
        labels = Labels.fit(values)
        again = Labels.from_json(json.loads(json.dumps(labels.to_json())))
        assert again == labels
        assert [type(name) for name in again.names] == [type(name) for name in labels.names]


@pytest.mark.parametrize("plain", [None, {}, {"names": ["a"], "counts": []}, {"names": [0.5], "counts": [1]}])
def test_damaged_values_are_refused(plain: Any) -> None:
    with pytest.raises(
        BundleError, match=r"^labels: want names \(texts or whole numbers\) and as many counts\.$"
    ):
        Labels.from_json(plain)


def test_a_label_that_is_there_twice_is_refused() -> None:
    for names in (["1", 1], []):
        with pytest.raises(BundleError, match=r"^labels: want at least one, and every label once\.$"):
            Labels.from_json({"names": names, "counts": [1] * len(names)})
