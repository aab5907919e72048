"""What runs of tokens say by themselves: a linear model beside the networks, fitted before they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from statewise.nn.n_grams import NGramScores
from statewise.rows.text.n_grams import NGrams, Numbers, log_count_ratios
from statewise.tasks.classify_problem import LossConfig, loss_of

_ROUNDS = 200  # of L-BFGS at most


def fit_scores(
    scores: NGramScores, runs: NGrams, texts: Sequence[Numbers], target: NDArray[Any], loss: LossConfig
) -> None:
    """Set `scores` to what tells the labels of training texts (ids [T] each) best.

    A weight is the log-count ratio of its run and label times what is fitted, which has a standard normal
    prior (NB-SVM, Wang and Manning 2012, with the loss of the networks in the place of the hinge). The sum
    of the losses is convex (without focal loss), so the answer depends on the rows alone.
    """
    numbers = [runs.numbers(ids) for ids in texts]
    labels = len(scores.bias)
    relevant = target if target.ndim == 2 else target[:, None] == np.arange(labels)
    ratios = torch.from_numpy(log_count_ratios(numbers, relevant, runs.size))
    line = torch.from_numpy(np.concatenate([each.ravel() for each in numbers]))
    starts = torch.from_numpy(np.cumsum([0, *(each.size for each in numbers[:-1])]))
    wanted = torch.from_numpy(target)
    power = torch.zeros_like(ratios, requires_grad=True)
    bias = torch.zeros(labels, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([power, bias], max_iter=_ROUNDS, line_search_fn="strong_wolfe")

    def close() -> Tensor:
        search.zero_grad()
        logits = bias + functional.embedding_bag(line, power * ratios, starts, mode="sum")
        total = target.size * loss_of(logits, wanted, loss) + 0.5 * power.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    search.step(close)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        scores.weight.copy_(power * ratios)
        scores.bias.copy_(bias)
