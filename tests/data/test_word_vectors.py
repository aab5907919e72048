"""Vectors of one's own texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from statewise.core.errors import ConfigError, DataError
from statewise.data.word_vectors import _information, _line, casing, word_vectors
from statewise.rows.word_vectors import WordVectors


def sentences(rows: int = 400) -> list[list[str]]:
    rng = np.random.default_rng(0)
    animals, tools = ["cat", "dog", "cow"], ["saw", "axe", "hammer"]
    made = []
    for _ in range(rows):
        kind, doing = (animals, "eats") if rng.random() < 0.5 else (tools, "cuts")
        made.append(["the", str(rng.choice(kind)), doing, "a", str(rng.choice(["thing", "lot"]))])
    return made


def test_words_that_stand_in_the_same_places_are_alike():
    found = word_vectors(sentences(), size=6)
    place = {word: number for number, word in enumerate(found.words)}
    unit = found.values / np.linalg.norm(found.values, axis=1, keepdims=True)

    def alike(a: str, b: str) -> float:
        return float(unit[place[a]] @ unit[place[b]])

    assert alike("cat", "dog") > 0.9 > alike("cat", "saw")
    np.testing.assert_allclose(np.linalg.norm(found.values, axis=1), 1.5, rtol=1e-4)


def test_the_information_is_that_of_a_count_by_hand():
    # "a b" and "a c" in a window of 1: a meets b and c once each.
    line = _line([["a", "b"], ["a", "c"]], {"a": 0, "b": 1, "c": 2}, 1)
    assert line.tolist() == [0, 1, -1, 0, 2, -1]
    information = _information(line, 3, 1).to_dense()
    context = torch.tensor([2.0, 1.0, 1.0]) ** 0.75
    want = torch.log(torch.tensor(1.0) * context.sum() / (2 * context[1]))
    assert float(information[0, 1]) == pytest.approx(float(want))
    assert float(information[1, 2]) == 0.0


def test_words_asked_for_are_there_however_rare():
    texts = [*sentences(), ["the", "okapi", "eats"]]
    assert "okapi" not in word_vectors(texts, size=4).words
    assert "okapi" in word_vectors(texts, size=4, always=["okapi"]).words


def test_how_words_are_written():
    texts = [
        ["The", "cat", "of", "Bob", "NASA"],
        ["Bob", ".", "Sat", "on", "bob", "1999"],
        ["on", "x", "NASA"],
    ]
    found = casing(texts, ["bob", "nasa", "cat", "sat", "0000", "dog"])
    inside, capitals, often = found.T
    assert inside.tolist() == pytest.approx(
        [1.1 / 2.3 - 1 / 3, 0.1 / 2.3 - 1 / 3, 0.1 / 1.3 - 1 / 3, 0.0, 0.0, 0.0], abs=1e-6
    )
    assert capitals.tolist() == pytest.approx([0.05 / 2.3, 2.05 / 2.3, 0.05 / 1.3, 0.0, 0.0, 0.0], abs=1e-6)
    assert often[0] == pytest.approx(np.log(3) / 5 - 0.7)
    assert often[-1] == pytest.approx(-0.7)
    vectors = WordVectors(("a", "b"), np.zeros((2, 4), np.float32)).beside(np.ones((2, 3), np.float32))
    assert (vectors.size, vectors.values[0].tolist()) == (7, [0, 0, 0, 0, 1, 1, 1])


def test_settings_and_texts_that_do_not_fit():
    with pytest.raises(ConfigError) as error:
        word_vectors(sentences(), size=0)
    assert str(error.value) == "word vectors: got size 0, min_count 5, window 5: want ≥ 1."
    with pytest.raises(DataError) as error:
        word_vectors([["a"]], size=2, min_count=1)
    assert str(error.value) == "word vectors: 1 words are frequent enough, want at least 2."
