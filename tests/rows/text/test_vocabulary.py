"""Vocabularies: order, floors, unknown items, words spelled like special ones, round trips."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import BundleError, ConfigError, DataError
from statewise.rows.text.vocabulary import BOS, EOS, PAD, SPECIALS, UNK, Vocabulary

ROWS = [["b", "a", "a"], ["c", "b", "a"]]


def test_the_special_items_come_first_then_the_frequent_ones_then_the_alphabet() -> None:
    vocabulary = Vocabulary.fit([*ROWS, ["d"]])
    assert vocabulary.items == ("<pad>", "<unk>", "<bos>", "<eos>", "a", "b", "c", "d")
    assert (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)
    assert len(vocabulary) == 8
    assert vocabulary.num_specials == 4


def test_rare_items_and_those_beyond_the_size_are_unknown() -> None:
    assert Vocabulary.fit(ROWS, min_count=2).items[4:] == ("a", "b")
    assert Vocabulary.fit(ROWS, max_size=5).items[4:] == ("a",)
    vocabulary = Vocabulary.fit(ROWS, min_count=3, specials=SPECIALS[:2])
    assert vocabulary.items == ("<pad>", "<unk>", "a")
    assert vocabulary.encode(["a", "b", "never seen"]) == [2, UNK, UNK]
    assert vocabulary.decode([PAD, 2, UNK]) == ["a", "<unk>"]


def test_a_word_spelled_like_a_special_item_is_unknown() -> None:
    vocabulary = Vocabulary.fit([["<pad>", "<eos>", "a", "<unk>"]])
    assert vocabulary.items[4:] == ("a",)
    assert vocabulary.encode(["<pad>", "<bos>", "<eos>", "<unk>", "a"]) == [UNK, UNK, UNK, UNK, 4]


def test_what_no_file_can_hold_is_left_out() -> None:
    vocabulary = Vocabulary.fit([["a", "\ud800", "é"]])
    assert vocabulary.items[4:] == ("a", "é")
    assert vocabulary.encode(["\ud800"]) == [UNK]


def test_settings_and_rows_that_make_no_vocabulary() -> None:
    cases = [
        (ROWS, {"min_count": 0}, ConfigError, "min_count: got 0, want at least 1."),
        (
            ROWS,
            {"max_size": 4},
            ConfigError,
            "max_size: got 4, want more than the 4 special entries, or 0 for no limit.",
        ),
        (
            ROWS,
            {"specials": ("<unk>",)},
            ConfigError,
            "specials: got ['<unk>'], want the first 2, 3 or 4 of ['<pad>', '<unk>', '<bos>', '<eos>'].",
        ),
        ([[], []], {}, DataError, "vocabulary: the training rows hold no item to learn from."),
    ]
    for rows, settings, kind, text in cases:
        with pytest.raises(kind) as caught:
            Vocabulary.fit(rows, **settings)  # type: ignore[arg-type]
        assert str(caught.value) == text


@given(st.lists(st.lists(st.text(max_size=3), min_size=1), min_size=1))
def test_every_item_has_a_number_and_known_ones_come_back(rows: list[list[str]]) -> None:
    vocabulary = Vocabulary.fit(rows)
    assert Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json()))) == vocabulary
    for row in rows:
        ids = vocabulary.encode(row)
        assert all(UNK <= number < len(vocabulary) for number in ids)
        known = [item for item in row if item not in SPECIALS]
        assert vocabulary.decode(vocabulary.encode(known)) == known


def test_damaged_values_are_refused() -> None:
    cases = {
        "text": "vocabulary: want a list of texts.",
        ("<pad>", 1): "vocabulary: want a list of texts.",
        ("<unk>", "<pad>", "a"): "vocabulary: want '<pad>' and '<unk>' first, and every item once.",
        ("<pad>", "<unk>", "a", "a"): "vocabulary: want '<pad>' and '<unk>' first, and every item once.",
    }
    for plain, text in cases.items():
        with pytest.raises(BundleError) as caught:
            Vocabulary.from_json(plain)
        assert str(caught.value) == text
