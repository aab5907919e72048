"""A lexicon of which word stands for which: the dumb baseline of translation.

IBM model 1 (Brown et al. 1993): every target word comes from one source word of its pair, whichever; by
expectation maximisation t(f | e), the probability of target word f given source word e.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from statewise.rows.text.words import split

_ROUNDS = 5


@dataclass(frozen=True)
class Lexicon:
    """The likeliest target word of every source word that training pairs hold."""

    best: dict[str, str]

    @staticmethod
    def fit(sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> Lexicon:
        """The lexicon of pairs of word lists, after 5 rounds."""
        words, others = _numbered(sources), _numbered(targets)
        e, f, pair, place = _links(sources, targets, words, others)
        links, inverse = np.unique(e * len(others) + f, return_inverse=True)
        source, target = links // max(len(others), 1), links % max(len(others), 1)
        chance = np.ones(len(links))
        for _ in range(_ROUNDS):
            share = chance[inverse]
            # Of one target word of one pair, the shares of all source words of the pair add up to 1.
            share = share / np.bincount(place, share, minlength=pair)[place]
            counts = np.bincount(inverse, share, minlength=len(links))
            chance = counts / np.bincount(source, counts, minlength=len(words))[source]
        order = np.lexsort((target, -chance, source))
        firsts = order[np.unique(source[order], return_index=True)[1]]
        known, meant = list(words), list(others)
        return Lexicon({known[source[i]]: meant[target[i]] for i in firsts})

    def translate(self, words: Sequence[str]) -> list[str]:
        """Word by word; an unknown word stays as it is."""
        return [self.best.get(word, word) for word in words]


def words_of(text: str, *, pretokenized: bool = False, lowercase: bool = False) -> list[str]:
    """The words of a text as the lexicon counts them."""
    text = text.lower() if lowercase else text
    return text.split() if pretokenized else split(text)


def _numbered(sentences: Sequence[Sequence[str]]) -> dict[str, int]:
    counts = Counter(word for sentence in sentences for word in sentence)
    return {word: number for number, word in enumerate(counts)}


def _links(
    sources: Sequence[Sequence[str]],
    targets: Sequence[Sequence[str]],
    words: dict[str, int],
    others: dict[str, int],
) -> tuple[NDArray[np.int64], NDArray[np.int64], int, NDArray[np.int64]]:
    """Source and target word of every link, how many target words there are, and each link's own."""
    e, f, place, seen = [], [], [], 0
    for source, target in zip(sources, targets, strict=True):
        read = np.array([words[word] for word in source], dtype=np.int64)
        written = np.array([others[word] for word in target], dtype=np.int64)
        e.append(np.tile(read, len(written)))
        f.append(np.repeat(written, len(read)))
        place.append(np.repeat(np.arange(seen, seen + len(written)), len(read)))
        seen += len(written)
    joined = [np.concatenate([np.zeros(0, dtype=np.int64), *parts]) for parts in (e, f, place)]
    return joined[0], joined[1], seen, joined[2]
