"""The spelling of words as numbers."""

from __future__ import annotations

import pytest

from statewise.core.errors import ConfigError
from statewise.rows.subwords import WIDTH, Subwords, runs


def test_runs_mark_the_edges_and_forget_case():
    assert runs("At") == ["<at", "at>", "<at>"]
    assert runs("DULL") == runs("dull")


def test_a_word_is_the_same_numbers_always():
    row = Subwords(1000).row("tedious")
    assert row.tolist() == Subwords(1000).row("tedious").tolist()
    assert ((row >= 0) & (row <= 1000)).all()
    assert (row > 0).sum() == len(runs("tedious"))


def test_words_of_one_stem_share_numbers():
    subwords = Subwords(100_000)
    shared = set(subwords.row("boring")) & set(subwords.row("boringly"))
    assert len(shared - {0}) >= 6


def test_long_and_empty_words_fit():
    subwords = Subwords(10)
    assert subwords.row("x" * 500).shape == (WIDTH,)
    assert subwords.row("").tolist() == [0] * WIDTH
    assert subwords.rows([]).shape == (0, WIDTH)
    assert subwords.rows(["a", "b"]).shape == (2, WIDTH)


def test_a_surrogate_of_a_broken_file_is_read():
    assert Subwords(10).row("a\udc80b").any()


def test_no_drawers():
    with pytest.raises(ConfigError) as error:
        Subwords(0)
    assert str(error.value) == "subwords: got 0, want at least 1 drawer, or 0 for none at all."
