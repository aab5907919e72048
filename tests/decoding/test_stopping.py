"""Text that ends at a stop string, however it is cut into pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import ConfigError
from statewise.decoding.stopping import checked_stops, until

LETTERS = st.text("abc", max_size=30)
STOPS = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


def letter_by_letter(text: str, stops: list[str]) -> str:
    """What the definition says: read on until some stop string is complete."""
    for end in range(1, len(text) + 1):
        places = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if places:
            return text[: min(places)]
    return text


@given(LETTERS, STOPS, st.lists(st.integers(1, 5), min_size=30, max_size=30))
def test_the_cut_into_pieces_changes_nothing(text: str, stops: list[str], sizes: list[int]) -> None:
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert "".join(until(pieces, stops)) == letter_by_letter(text, stops)


def test_certain_text_is_given_out_at_once_and_the_rest_held_back() -> None:
    pieces = iter(["one", " tw", "o E", "N", "D more"])
    assert list(until(pieces, ["END"])) == ["one", " tw", "o "]
    assert list(until(["a E", "N", "."], ["END"])) == ["a ", "EN."]


def test_nothing_is_read_after_the_end() -> None:
    read = []

    def pieces():
        for piece in ("a", "b!", "c"):
            read.append(piece)
            yield piece

    assert "".join(until(pieces(), ["!"])) == "ab"
    assert read == ["a", "b!"]


def test_stop_strings_are_checked() -> None:
    assert checked_stops(None) == ()
    assert checked_stops("\n") == ("\n",)
    with pytest.raises(ConfigError, match=r"^stop: got an empty string, want text that ends the output.$"):
        checked_stops(["a", ""])
