"""The law for scores of runs of tokens, and that both ways to find a run's number agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from statewise.nn.n_grams import NGramScores
from statewise.rows.text.n_grams import NGrams
from statewise.testing import check_recurrence

RNG = np.random.default_rng(0)
TEXTS = [RNG.integers(1, 7, size=RNG.integers(1, 12)) for _ in range(20)]


def made(longest: int, min_count: int = 2) -> tuple[NGrams, NGramScores]:
    runs = NGrams.fit(TEXTS, longest, 7, min_count)
    scores = NGramScores(runs, 3)
    with torch.no_grad():
        scores.weight[1:].normal_()
        scores.bias.normal_()
    return runs, scores


@pytest.mark.parametrize("longest", [1, 2, 4])
def test_the_law(longest):
    check_recurrence(lambda: made(longest)[1], lambda batch, time: torch.randint(1, 7, (batch, time)))


def test_the_law_where_the_ids_are_the_first_of_several():
    def draw(batch: int, time: int):
        return torch.randint(1, 7, (batch, time)), torch.randint(1, 9, (batch, time, 2))

    check_recurrence(lambda: made(2)[1], draw)


@pytest.mark.parametrize(("longest", "min_count"), [(1, 1), (2, 1), (3, 2), (5, 1), (2, 99)])
def test_a_text_scores_what_its_runs_score_together(longest, min_count):
    runs, scores = made(longest, min_count)
    for text in [*TEXTS, RNG.integers(1, 7, size=30)]:
        want = scores.bias + scores.weight[torch.from_numpy(runs.numbers(text))].sum((0, 1))
        found = scores.logits(torch.from_numpy(text)[None], torch.tensor([len(text)]))
        torch.testing.assert_close(found[0], want)
