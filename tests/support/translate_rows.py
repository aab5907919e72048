"""Made-up pairs that are easy to translate, for tests of translators: numerals, told backwards."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from statewise.models.translate import TranslateModel
from statewise.tasks.translate import Translate
from statewise.training.config import TrainConfig
from statewise.training.fit import fit

GERMAN = ("eins", "zwei", "drei", "vier", "fünf", "sechs")
ENGLISH = ("one", "two", "three", "four", "five", "six")
SHORT = TrainConfig(
    epochs=1, batch_tokens=200, learning_rate=1e-2, validate_every=20, average=0.9, weight_decay=0.0
)


def numerals(rows: int, seed: int = 0) -> dict[str, list[Any]]:
    """Columns source and target: "eins zwei" and "two one"."""
    rng = np.random.default_rng(seed)
    numbers = [rng.integers(0, len(GERMAN), rng.integers(1, 5)) for _ in range(rows)]
    return {
        "source": [" ".join(GERMAN[i] for i in row) for row in numbers],
        "target": [" ".join(ENGLISH[i] for i in reversed(row)) for row in numbers],
    }


@lru_cache
def taught() -> TranslateModel:
    """A model that has learned it."""
    task = Translate(embedding_size=24, embedding_dropout=0.0, label_smoothing=0.0, max_length=20)
    train = TrainConfig(
        epochs=30, batch_tokens=100, learning_rate=1e-2, validate_every=50, average=0.95, weight_decay=0.0
    )
    model = fit(task, numerals(300), hidden_size=32, dropout=0.0, train=train, progress=False)
    assert isinstance(model, TranslateModel)
    return model


@lru_cache
def untaught(attention: str = "additive", members: int = 1, **settings: Any) -> TranslateModel:
    """A model after one epoch: it writes nonsense."""
    task = Translate(embedding_size=8, attention=attention, max_length=20, **settings)
    rows = numerals(60)
    model = fit(task, rows, hidden_size=8, train=SHORT, members=members, progress=False)
    assert isinstance(model, TranslateModel)
    return model
