"""Made-up sentences with entities: who orders what and where to, always the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np

PEOPLE = ["Ann Lee", "Bob", "Clara Berg", "Dana Fox Hill"]
PLACES = ["Oslo", "Mill Street", "New Haven"]
THINGS = ["pie", "two pies", "bread"]


def tag_rows(count: int = 40, seed: int = 0) -> dict[str, list[Any]]:
    """Columns tokens and labels (BIO) of `count` sentences."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[Any]] = {"tokens": [], "labels": []}
    for _ in range(count):
        parts = [("please", ""), ("send", ""), (str(rng.choice(THINGS)), "")]
        parts += [
            ("to", ""),
            (str(rng.choice(PEOPLE)), "person"),
            ("in", ""),
            (str(rng.choice(PLACES)), "place"),
        ]
        chosen = parts[int(rng.integers(2)) :]
        tokens: list[str] = []
        labels: list[str] = []
        for text, kind in chosen:
            words = text.split()
            tokens += words
            labels += [f"{'I' if at else 'B'}-{kind}" if kind else "O" for at in range(len(words))]
        rows["tokens"].append(tokens)
        rows["labels"].append(labels)
    return rows
