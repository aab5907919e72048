"""Made-up reviews and curves whose label is easy to tell, for tests of classifiers."""

from __future__ import annotations

from typing import Any

import numpy as np

GOOD, BAD = ("good", "great", "fine", "lovely"), ("bad", "dull", "poor", "awful")
FILLERS = ("the", "film", "was", "a", "really", "movie", "plot", "of", "it")


def reviews(rows: int, seed: int = 0) -> dict[str, list[Any]]:
    """Texts with one telling word among fillers: columns text and label ("pos", "neg")."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(rows):
        good = bool(rng.random() < 0.5)
        words = [*rng.choice(FILLERS, rng.integers(2, 7)), rng.choice(GOOD if good else BAD)]
        texts.append(" ".join(rng.permutation(words)))
        labels.append("pos" if good else "neg")
    return {"text": texts, "label": labels}


def topics(rows: int, seed: int = 0) -> dict[str, list[Any]]:
    """Texts that may tell of two things, or of none: columns text and tags (lists of "praise", "blame")."""
    rng = np.random.default_rng(seed)
    texts, tags = [], []
    for _ in range(rows):
        praise, blame = rng.random() < 0.5, rng.random() < 0.3
        words = [*rng.choice(FILLERS, 3), *([rng.choice(GOOD)] * praise), *([rng.choice(BAD)] * blame)]
        texts.append(" ".join(rng.permutation(words)))
        tags.append([name for name, there in (("praise", praise), ("blame", blame)) if there])
    return {"text": texts, "tags": tags}


def curves(rows: int, seed: int = 0) -> dict[str, list[Any]]:
    """Noisy lines of unequal length that rise or fall, some values missing: columns x, y, label (1, 0)."""
    rng = np.random.default_rng(seed)
    columns: dict[str, list[Any]] = {"x": [], "y": [], "label": []}
    for _ in range(rows):
        steps, rises = int(rng.integers(5, 10)), bool(rng.random() < 0.5)
        line = np.linspace(0, 1 if rises else -1, steps) + 0.1 * rng.normal(size=steps)
        columns["x"].append([None if rng.random() < 0.1 else float(v) for v in line])
        columns["y"].append(rng.normal(size=steps).tolist())
        columns["label"].append(int(rises))
    return columns
