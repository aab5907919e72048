"""Files of word vectors."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from statewise.core.errors import DataError
from statewise.rows.word_vectors import WordVectors, read_vectors, write_vectors


def test_a_file_comes_back(tmp_path):
    vectors = WordVectors(("a", "b c"[0]), np.array([[0.5, -1.25], [2.0, 0.0]], dtype=np.float32))
    write_vectors(tmp_path / "v.txt", vectors)
    again = read_vectors(tmp_path / "v.txt")
    assert again.words == vectors.words
    assert again.size == 2
    np.testing.assert_array_equal(again.values, vectors.values)


def test_the_head_of_word2vec_is_left_out_and_the_first_of_a_word_counts(tmp_path):
    path = tmp_path / "v.txt.gz"
    path.write_bytes(gzip.compress(b"2 3\nfine 1 2 3\nfine 4 5 6\n"))
    found = read_vectors(path)
    assert found.words == ("fine",)
    assert found.values.tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1 2\nb 1\n", "v.txt, line 2: got 1 numbers, want 2."),
        ("a 1 2\nb 1 x\n", "v.txt, line 2: want a word and 2 numbers."),
        ("word\n", "v.txt, line 1: got 0 numbers, want some."),
    ],
)
def test_lines_that_do_not_fit(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "v.txt").write_text(text)
    with pytest.raises(DataError) as error:
        read_vectors("v.txt")
    assert str(error.value) == message
