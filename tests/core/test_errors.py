"""The texts that every error is made of."""

from __future__ import annotations

import pytest

from statewise.core.errors import (
    ConfigError,
    DataError,
    LawError,
    MissingExtraError,
    StatewiseError,
    lookup,
    suggestion,
)


def test_the_closest_name_is_suggested() -> None:
    assert suggestion("grru", ["lstm", "gru"]) == " Did you mean 'gru'?"


def test_without_a_close_name_all_are_listed() -> None:
    assert suggestion("xyz", ["lstm", "gru"]) == " Known: gru, lstm."
    assert suggestion("xyz", []) == ""


def test_lookup_gives_the_entry_or_says_what_was_meant() -> None:
    assert lookup({"gru": 1}, "gru", "cell") == 1
    with pytest.raises(ConfigError, match=r"^cell: no such cell 'grru'\. Did you mean 'gru'\?$"):
        lookup({"gru": 1}, "grru", "cell")


def test_one_root_and_the_usual_python_kinds() -> None:
    assert issubclass(DataError, StatewiseError)
    assert issubclass(LawError, AssertionError)
    error = MissingExtraError("sw.plot", "matplotlib", "plot")
    assert isinstance(error, ImportError)
    assert str(error) == "sw.plot needs matplotlib, which is not installed: pip install 'statewise[plot]'"
