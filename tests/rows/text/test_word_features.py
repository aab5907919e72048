"""Words as whole numbers: shapes, affixes, letters, and the way to JSON and back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from statewise.core.errors import BundleError, ConfigError
from statewise.rows.text.word_features import WordFeatures, WordSettings, normal, shape

SENTENCES = [["The", "cat", "sat", "."], ["The", "dog", "ran", "in", "1999", "!"], ["cat"]]


@pytest.fixture(scope="module")
def features() -> WordFeatures:
    return WordFeatures.fit(SENTENCES, WordSettings(min_affix_count=1, affixes=2, letters=4))


@pytest.mark.parametrize(
    ("word", "want"),
    [
        ("cat", "x"),
        ("The", "Xx"),
        ("I", "X"),
        ("USA", "XX"),
        ("iPhone4", "xXxd"),
        ("1999", "d"),
        ("U.S.", "X.X."),
        ("#win", "#x"),
        ("...", "."),
        ("a-b-c-d-e-f", "x-x-x-x-x-"),
    ],
)
def test_shapes(word: str, want: str) -> None:
    assert shape(word) == want


def test_words_in_lower_case_without_digits() -> None:
    assert normal("Year1999") == "year0000"


def test_a_row(features: WordFeatures) -> None:
    row = features.row("The")
    assert features.size == 1 + 1 + 4 + 4
    assert row.shape == (features.size,)
    assert features.words.items[row[0]] == "the"
    told = [vocabulary.items[number] for vocabulary, number in zip(features.features, row[1:6], strict=True)]
    assert told == ["Xx", "t", "th", "e", "he"]
    assert features.letters.decode(row[6:].tolist()) == ["T", "h", "e"]
    assert row[-1] == 0  # padding


def test_a_long_word_keeps_both_ends(features: WordFeatures) -> None:
    assert features.letters.decode(features.row("The----dog").tolist()[6:]) == ["T", "h", "o", "g"]
    odd = WordFeatures.fit(SENTENCES, WordSettings(letters=3))
    assert odd.letters.decode(odd.row("The----dog").tolist()[-3:]) == ["T", "h", "g"]
    assert WordFeatures.fit(SENTENCES, WordSettings(letters=1)).row("The")[-1] > 1


def test_an_unknown_word_is_unknown_and_does_not_crash(features: WordFeatures) -> None:
    row = features.row("žluťoučký")
    assert row[0] == 1
    assert set(features.row("<pad>")[:1]) == {1}


def test_counts_are_those_of_the_training_rows(features: WordFeatures) -> None:
    counts = dict(zip(features.words.items, features.counts, strict=True))
    assert (counts["the"], counts["cat"], counts["<unk>"]) == (2, 2, 0)


def test_a_sentence_is_its_words_one_by_one(features: WordFeatures) -> None:
    whole = features.encode(["The", "cat", "flew"])
    np.testing.assert_array_equal(whole, [features.row(word) for word in ["The", "cat", "flew"]])
    assert features.encode([]).shape == (0, features.size)


def test_json_and_back_is_exact(features: WordFeatures) -> None:
    back = WordFeatures.from_json(json.loads(json.dumps(features.to_json())))
    assert back == features
    np.testing.assert_array_equal(back.encode(SENTENCES[1]), features.encode(SENTENCES[1]))


def test_without_letters_and_affixes() -> None:
    features = WordFeatures.fit(SENTENCES, WordSettings(affixes=0, letters=0))
    assert features.size == 2
    assert features.sizes.length == 0


def test_settings_out_of_range() -> None:
    with pytest.raises(ConfigError) as error:
        WordSettings(affixes=-1)
    assert str(error.value) == "affixes: got -1, want 0 or more."


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (None, "words: want a table of counts, features, letters, settings, words."),
        ({"counts": [1]}, "words: want a whole number for every word's count."),
        ({"features": []}, "words: want one list of features for the shape and for every affix."),
        ({"settings": {"afixes": 2}}, "words.settings: no such setting 'afixes'. Did you mean 'affixes'?"),
    ],
)
def test_what_is_no_stored_table(features: WordFeatures, change: object, text: str) -> None:
    plain = {**features.to_json(), **change} if isinstance(change, dict) else change
    with pytest.raises(BundleError) as error:
        WordFeatures.from_json(plain)
    assert str(error.value) == text
