"""Word vectors of one's own texts: what stands near a word, made short.

Positive pointwise mutual information of words within a window, and its truncated singular value
decomposition: about as good as skip-gram (Levy and Goldberg 2014; Levy, Goldberg and Dagan 2015, whose
context smoothing and square root of the singular values are used), and one pass over the texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from statewise.core.errors import ConfigError, DataError
from statewise.rows.text.word_features import normal
from statewise.rows.word_vectors import WordVectors

_SMOOTHING = 0.75  # power of the context counts: rare contexts tell less than their share
_LENGTH = 1.5  # of every vector
_SHARES = (("first", 0.1, 1 / 3), ("capitals", 0.05, 0.0))  # and what a rare word's share tends to, times 0.3
_ITERATIONS = 4  # of the randomised decomposition (Halko, Martinsson and Tropp 2011)


def word_vectors(
    texts: Iterable[Sequence[str]],
    *,
    size: int = 150,
    min_count: int = 5,
    window: int = 5,
    always: Iterable[str] = (),
    seed: int = 0,
) -> WordVectors:
    """A vector of `size` numbers for every word that the texts (lists of words) hold `min_count` times.

    A neighbour d words away counts 1/d, up to `window`. Words of `always` that occur at all have one too.
    The texts need no label. Raises ConfigError, and DataError when there are not `size` words.
    """
    if size < 1 or min_count < 1 or window < 1:
        raise ConfigError(f"word vectors: got size {size}, min_count {min_count}, window {window}: want ≥ 1.")
    held = [list(text) for text in texts]
    counts = Counter(word for text in held for word in text)
    wanted = set(always)
    words = [word for word, count in counts.most_common() if count >= min_count or word in wanted]
    if len(words) < size:
        raise DataError(f"word vectors: {len(words)} words are frequent enough, want at least {size}.")
    line = _line(held, {word: number for number, word in enumerate(words)}, window)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        u, s, _ = torch.svd_lowrank(_information(line, len(words), window), q=size, niter=_ITERATIONS)
    vectors = u * s.sqrt()
    vectors = _LENGTH * vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-9)
    return WordVectors(tuple(words), vectors.numpy().astype(np.float32))


def casing(texts: Iterable[Sequence[str]], words: Sequence[str]) -> NDArray[np.float32]:
    """How texts as they were written hold each of `words` [V, 3], which are in lower case, digits as 0.

    The share of its occurrences that begin with a capital (less a third), the share in capitals alone, and
    a measure of how often it occurs. What stands first or after a sign does not count for the shares:
    anything has a capital there. A word that only stands there has shares of 0.
    """
    counts = {name: Counter[str]() for name in ("all", "inside", "first", "capitals")}
    for text in texts:
        before = ""
        for token in text:
            word = normal(token)
            counts["all"][word] += 1
            if before[-1:].isalnum() and token[:1].isalpha():
                counts["inside"][word] += 1
                kind = "capitals" if token.isupper() and len(token) > 1 else "first"
                counts[kind][word] += token[0].isupper()
            before = token
    often = {
        name: np.array([found[word] for word in words], dtype=np.float32) for name, found in counts.items()
    }
    inside = often["inside"]
    shares = [(often[name] + rate) / (inside + 0.3) - shift for name, rate, shift in _SHARES]
    frequency = np.minimum(np.log(np.maximum(often["all"], 1)) / 5, 2) - 0.7
    return np.stack((*(share * (inside > 0) for share in shares), frequency), axis=1).astype(np.float32)


def _line(texts: Sequence[Sequence[str]], number: dict[str, int], window: int) -> NDArray[np.int64]:
    """All texts in one line, -1 for words left out and, a window long, between texts."""
    gap = [-1] * window
    return np.array([n for text in texts for n in (*(number.get(w, -1) for w in text), *gap)], dtype=np.int64)


def _information(line: NDArray[np.int64], size: int, window: int) -> Tensor:
    """Positive pointwise mutual information of words [V, V], sparse."""
    pairs: Tensor | None = None
    for distance in range(1, window + 1):
        before, after = line[:-distance], line[distance:]
        both = (before >= 0) & (after >= 0)
        places = torch.from_numpy(np.stack((before[both], after[both])))
        weight = torch.full((places.shape[1],), 1.0 / distance)
        found = _sparse(places, weight, size)
        pairs = found if pairs is None else (pairs + found).coalesce()
    assert pairs is not None
    together = (pairs + pairs.t()).coalesce()
    (rows, columns), count = together.indices(), together.values()
    often = torch.zeros(size).index_add_(0, rows, count)
    context = often**_SMOOTHING
    information = (count * context.sum() / (often[rows] * context[columns])).log()
    kept = information > 0
    places = torch.stack((rows[kept], columns[kept]))
    return _sparse(places, information[kept], size)


def _sparse(places: Tensor, values: Tensor, size: int) -> Tensor:
    """Values at places [2, N] of a square matrix; those of one place are added."""
    return torch.sparse_coo_tensor(places, values, (size, size), check_invariants=False).coalesce()
