"""Suggestions while someone types: the state is kept between keystrokes, and taken back with them."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

import torch
from torch import Tensor

from statewise.core.errors import ConfigError
from statewise.decoding.completion import Lexicon, endings
from statewise.metrics.language import keystrokes_saved
from statewise.rows.generate import GenerateCodec
from statewise.rows.text.byte_pairs import BytePairs
from statewise.rows.text.characters import Characters
from statewise.rows.text.words import Words
from statewise.state import State
from statewise.tasks.language_model import LanguageModel

_SPACES = " \t\n\r"  # what both the byte pairs' own cut and Python call space
_HISTORY = 128  # states kept, so many keystrokes (of words: spaces) can be taken back at no cost


class Suggestion(NamedTuple):
    """A word, the letters of it that are not typed yet, and how likely it is given those that are."""

    word: str
    adds: str
    probability: float


class _Saved(NamedTuple):
    """What stood after the first `read` letters."""

    read: int
    log_probs: Tensor  # [1, V]
    state: State


class Autocomplete:
    """`type`, `backspace` and `accept` letters of one text; `suggestions` are words that may come.

    Every keystroke costs the same, however long the text: a character model reads the letter, a word model
    looks up the letters of the open word, and words are read when they are complete. Byte pairs are read up
    to the last place where a part surely ends; the letters after it, spaces too, may yet be cut another way,
    so they are searched for among the parts that spell them. `keys` counts the keys pressed since the start,
    `saved` is the share of letters that needed none. Raises ConfigError.
    """

    def __init__(self, model: LanguageModel, codec: GenerateCodec, k: int = 3, text: str = "") -> None:
        if k < 1:
            raise ConfigError(f"k: got {k}, want 1 or more suggestions.")
        self._model, self._codec, self._k = model, codec, k
        self._lexicon = Lexicon(codec.surfaces, whole=isinstance(codec.reader, Words))
        self._given, self.keys = len(text), 0
        self._text = ""
        self._found: list[Suggestion] | None = None
        self._kept: deque[_Saved] = deque(maxlen=_HISTORY)
        self._begin()
        self._set(text)

    @property
    def text(self) -> str:
        """All that was typed, accepted and given."""
        return self._text

    @property
    def saved(self) -> float:
        """The share of letters written since the start for which no key was pressed; 0 before the first."""
        letters = len(self._text) - self._given
        return keystrokes_saved(self.keys, letters) if letters > 0 else 0.0

    @property
    def suggestions(self) -> list[Suggestion]:
        """Words that may be meant, likeliest first; searched for when first asked for."""
        if self._found is None:
            self._found = self._search()
        return self._found

    def type(self, letters: str) -> Autocomplete:
        """After some more letters, a key each."""
        self.keys += len(letters)
        self._set(self._text + letters)
        return self

    def backspace(self, count: int = 1) -> Autocomplete:
        """Without the last `count` letters, a key each."""
        if not 0 <= count <= len(self._text):
            raise ConfigError(f"backspace: got {count}, want 0 to {len(self._text)}, the letters there are.")
        self.keys += count
        self._set(self._text[: len(self._text) - count])
        return self

    def accept(self, number: int = 0) -> Autocomplete:
        """With suggestion `number` and a space after it, for one key."""
        if not 0 <= number < len(self.suggestions):
            got = f"got {number}, there are {len(self.suggestions)} suggestions"
            raise ConfigError(f"accept: {got}, counted from 0.")
        self.keys += 1
        self._set(self._text + self.suggestions[number].adds + " ")
        return self

    def _set(self, text: str) -> None:
        """Make `text` what was read: back to a state that was kept, forward from there."""
        self._text, self._found = text, None
        while self._kept and self._kept[-1].read > self._end(text):
            self._kept.pop()
        if not self._kept:
            self._begin()
        for end in self._ends(text)[-_HISTORY:]:
            self._read(text, end)

    def _read(self, text: str, end: int) -> None:
        """Read on to `end` letters, and keep the state."""
        last = self._kept[-1]
        new = self._numbers(text[last.read : end], last.read)
        log_probs, state = last.log_probs, last.state
        if new:
            with torch.inference_mode():
                made, state = self._model(torch.tensor([new]), state)
            log_probs = made[:, -1]
        self._kept.append(_Saved(end, log_probs, state))

    def _numbers(self, letters: str, place: int) -> list[int]:
        """The numbers of letters that stand at a place of the text."""
        reader = self._codec.reader
        if isinstance(reader, BytePairs) and place > 0:
            return reader.encode_on(letters)
        return self._codec.encode(letters)

    def _begin(self) -> None:
        """Keep the state before the first letter."""
        self._kept.clear()
        with torch.inference_mode():
            start = torch.tensor([self._codec.start])
            log_probs, state = self._model.step(start, self._model.initial_state(1))
        self._kept.append(_Saved(0, log_probs, state))

    def _end(self, text: str) -> int:
        """How many letters of a text can be read: all, or those before the word that is open."""
        if isinstance(self._codec.reader, Characters):
            return len(text)
        return next((end for place in range(len(text) - 1, -1, -1) if (end := self._rest(text, place))), 0)

    def _ends(self, text: str) -> list[int]:
        """Where reading may rest on the way to there: after every letter, or after every word."""
        first = self._kept[-1].read
        if isinstance(self._codec.reader, Characters):
            return list(range(first + 1, len(text) + 1))
        return [end for place in range(first, len(text)) if (end := self._rest(text, place)) > first]

    def _rest(self, text: str, place: int) -> int:
        """How many letters can be read because of the one at a place; 0 for none.

        A space ends the word before it. To byte pairs it belongs to what comes next, and with more spaces it
        may make one part; but nothing that follows changes how the letters before the first space are cut.
        """
        if not isinstance(self._codec.reader, BytePairs):
            return place + 1 if text[place].isspace() else 0
        ends = place > 0 and text[place] in _SPACES and not text[place - 1].isspace()
        return place if ends else 0

    def _search(self) -> list[Suggestion]:
        last, text = self._kept[-1], self._text
        typed, word = text[last.read :], _open_word(text)
        if isinstance(self._codec.reader, BytePairs) and self._codec.documents and last.read == 0:
            typed = f" {typed}"
        with torch.inference_mode():
            found = endings(self._model.step, last.log_probs, last.state, self._lexicon, typed, self._k)
        made = []
        for ending in found:
            adds = ending.text[len(typed) :]
            if adds:
                made.append(Suggestion(word + adds, adds, math.exp(ending.log_prob)))
        return made


def _open_word(text: str) -> str:
    """The letters after the last space."""
    return "" if not text or text[-1].isspace() else text.split()[-1]
