"""Made-up texts and logs whose next item can be learned in a moment."""

from __future__ import annotations

import numpy as np

LINES = ("the king is here", "the queen is gone", "a dog and a cat", "long live the king")


def text(lines: int = 120, seed: int = 0) -> str:
    """Lines in any order, each with its end."""
    rng = np.random.default_rng(seed)
    return "\n".join(LINES[i] for i in rng.integers(len(LINES), size=lines)) + "\n"


def log(sequences: int = 30, seed: int = 0) -> dict[str, list[str]]:
    """A log of who played what, one event per row: every player goes round, from a place of their own."""
    rng = np.random.default_rng(seed)
    names = ("intro", "verse", "chorus", "bridge", "outro")
    rows = [
        (f"player {who}", names[(start + step) % 5])
        for who, start in enumerate(rng.integers(5, size=sequences))
        for step in range(int(rng.integers(6, 12)))
    ]
    return {"who": [who for who, _ in rows], "played": [event for _, event in rows]}
