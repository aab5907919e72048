"""The beam of endings against all endings there are."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from statewise.decoding.completion import Lexicon, endings

SURFACES = ("", "a", "b", "ab", " ", " a", " ab", ".")


def toy(seed: int, surfaces=SURFACES):
    """A model whose next item depends on the last two: log-probabilities, and a step."""
    generator = torch.Generator().manual_seed(seed)
    size = len(surfaces)
    table = (3 * torch.randn(size, size, size, generator=generator)).log_softmax(-1)

    def step(token, state):
        return table[state, token], token

    return step, table[0, 1].unsqueeze(0), torch.tensor([1])


def every_ending(step, log_probs, state, lexicon: Lexicon, typed: str, reach: int) -> dict[str, float]:
    """The best log-probability of every ending given what is typed, by going through all sequences."""
    found: dict[str, float] = {}
    given = 0.0 if typed else 1.0
    for length in range(1, reach + 1):
        for tokens in itertools.product(range(len(lexicon.surfaces)), repeat=length):
            text = "".join(lexicon.surfaces[token] for token in tokens)
            spelled, legal = "", True
            for token in tokens:
                surface = lexicon.surfaces[token]
                missing = typed[len(spelled) :]
                fits = surface.startswith(missing) or missing.startswith(surface) if missing else True
                legal &= bool(surface) and fits and (bool(missing) or not bool(lexicon.opens[token]))
                spelled += surface
            if not legal or len(text) < len(typed):
                continue
            scores, memory, total = log_probs, state, 0.0
            for token in tokens:
                total += float(scores[0, token])
                scores, memory = step(torch.tensor([token]), memory)
            if len(text) - len(lexicon.surfaces[tokens[-1]]) < len(typed):  # just spelled
                given += math.exp(total)
            if text == typed:
                continue
            total += float(scores[0][lexicon.opens].logsumexp(0))
            found[text] = max(found.get(text, -1e9), total)
    return {text: score - math.log(given) for text, score in found.items()}


@pytest.mark.parametrize("typed", ["", " ", " a", "ab"])
@pytest.mark.parametrize("seed", range(6))
def test_a_wide_beam_finds_the_likeliest_endings(seed: int, typed: str) -> None:
    step, log_probs, state = toy(seed)
    lexicon = Lexicon(SURFACES)
    made = endings(step, log_probs, state, lexicon, typed, k=20, reach=3)
    want = every_ending(step, log_probs, state, lexicon, typed, reach=3)
    best = sorted(want.items(), key=lambda item: -item[1])
    assert made[0].text == best[0][0]
    for ending in made:
        assert ending.log_prob == pytest.approx(want[ending.text], abs=1e-4)
    assert [ending.log_prob for ending in made] == sorted((one.log_prob for one in made), reverse=True)


def test_whole_words_are_looked_up() -> None:
    surfaces = ("", "tea", "ten", "to", ".")
    lexicon = Lexicon(surfaces, whole=True)
    log_probs = torch.tensor([[0.01, 0.1, 0.3, 0.5, 0.09]]).log()

    def step(token, state):
        raise AssertionError("a word needs no step")

    made = endings(step, log_probs, torch.zeros(1), lexicon, "te", k=2)
    assert [ending.text for ending in made] == ["ten", "tea"]
    assert endings(step, log_probs, torch.zeros(1), lexicon, "x") == []
    assert endings(step, log_probs, torch.zeros(1), lexicon, k=1)[0].text == "to"


def test_what_begins_a_word_and_what_fits_to_letters() -> None:
    lexicon = Lexicon(("", "a", " a", "ab", "’s", ".", "abc"))
    assert lexicon.opens.tolist() == [True, False, True, False, False, True, False]
    assert sorted(lexicon.spelling("ab")) == [3, 6]
    assert lexicon.within("ab") == [1]
    assert lexicon.spelling("x") == lexicon.within("x") == []


def test_a_word_that_is_typed_is_no_ending_and_neither_is_a_space() -> None:
    lexicon = Lexicon(("", "a", "ab", "abc", " ", " a", "  "))
    step, log_probs, state = toy(0, lexicon.surfaces)
    for typed in ("ab", " ", " a"):
        made = endings(step, log_probs, state, lexicon, typed, k=20, reach=2)
        assert made
        assert all(ending.text[len(typed) :].strip() for ending in made)
    whole = Lexicon(("", "a", "ab"), whole=True)
    (only,) = endings(step, torch.tensor([[0.2, 0.2, 0.6]]).log(), state, whole, "a")
    assert only == ("ab", pytest.approx(math.log(0.75)))
