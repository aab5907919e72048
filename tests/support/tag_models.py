"""Small taggers of made-up sentences."""

from __future__ import annotations

from functools import cache
from typing import Any

from tag_rows import tag_rows

from statewise.models.tag import TagModel
from statewise.tasks.tag import Tag
from statewise.training.config import TrainConfig
from statewise.training.fit import fit

SMALL: dict[str, Any] = {"word_size": 12, "feature_size": 4, "filters": 8, "min_affix_count": 1}
TRAIN = TrainConfig(
    epochs=12, batch_tokens=200, learning_rate=1e-2, average=0.5, validate_every=10, patience=0, threads=1
)


@cache
def trained_tagger(bidirectional: bool = True, members: int = 1, seed: int = 0) -> TagModel:
    """A model of 60 sentences, trained for a second; the same object whenever it is asked for again."""
    task = Tag(bidirectional=bidirectional, **SMALL)
    train = TrainConfig(**{**vars(TRAIN), "seed": seed})
    rows, held_out = tag_rows(60), tag_rows(20, seed=1)
    model = fit(task, rows, validation=held_out, hidden_size=16, members=members, train=train, progress=False)
    assert isinstance(model, TagModel)
    return model
