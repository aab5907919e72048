"""The live form of a random field: the probability of the newest label given the tokens so far."""

from __future__ import annotations

import torch
from torch import Tensor

from statewise.nn.crf import ILLEGAL, Chain, Transitions
from statewise.recurrence import Recurrence, check_sequence, run_steps


class Filter(Recurrence):
    """Emissions [B, T, K] to log p(label at t | tokens up to t) [B, T, K]: the forward recursion, normalised.

    The state [B, K + 1] holds these log probabilities, and at its end that of standing before the first
    token. The sentence may go on, so the scores of a last label take no part.
    """

    def __init__(self, transitions: Transitions) -> None:
        super().__init__()
        self.transitions = transitions

    def initial_state(self, batch: int) -> Tensor:
        """Before the first token, for certain."""
        return filter_start(self.transitions.start, batch)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Emissions [B, K] of one token to log probabilities [B, K]."""
        return filter_step(x, self.transitions(), state)

    def forward(
        self, x: Tensor, state: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """A sequence of emissions."""
        check_sequence(x, lengths, len(self.transitions.start), "filter")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[1] == 0:
            return x.new_zeros(x.shape), state
        return run_steps(self.step, x, state, lengths)


def filter_start(like: Tensor, batch: int) -> Tensor:
    """The state [B, K + 1] before the first token, of the device and dtype of `like` [K]."""
    labels = like.new_full((batch, len(like)), ILLEGAL)
    return torch.cat((labels, labels.new_zeros(batch, 1)), dim=1)


def filter_step(emissions: Tensor, chain: Chain, state: Tensor) -> tuple[Tensor, Tensor]:
    """One step of the normalised forward recursion: log probabilities [B, K] and the state [B, K + 1]."""
    ways = torch.cat((chain.transitions, chain.start.unsqueeze(0)))
    scores = (state.unsqueeze(2) + ways).logsumexp(1) + emissions
    found = scores.log_softmax(1)
    return found, torch.cat((found, torch.full_like(found[:, :1], ILLEGAL)), dim=1)
