"""Scores of labels straight from runs of tokens: a linear model, as a recurrence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.recurrence import Input, Recurrence, last_real, zero_padding
from statewise.rows.text.n_grams import NGrams
from statewise.rows.text.vocabulary import PAD


class NGramState(NamedTuple):
    """The runs of 1 … longest - 1 tokens that end here (0: none known), and the scores so far."""

    ends: Tensor  # [B, longest - 1] int64
    scores: Tensor  # [B, K]


class NGramScores(Recurrence):
    """Ids [B, T] to logits [B, T, K]: a bias and the sum of what tokens and known runs of tokens say so far.

    The ids may be the first of a tuple; the rest of it is not read. A run counts as often as it occurs:
    whether it occurred before is nothing that a state of one size could know.
    """

    keys: Tensor

    def __init__(self, runs: NGrams, labels: int) -> None:
        super().__init__()
        self.longest, self.tokens = runs.longest, runs.tokens
        self.register_buffer("keys", torch.from_numpy(runs.line), persistent=False)
        self.weight = nn.Parameter(torch.zeros(runs.size, labels))
        self.bias = nn.Parameter(torch.zeros(labels))

    def initial_state(self, batch: int) -> NGramState:
        ends = torch.full((batch, self.longest - 1), PAD, device=self.weight.device)
        return NGramState(ends, self.bias.repeat(batch, 1))

    def step(self, x: Input, state: NGramState) -> tuple[Tensor, NGramState]:
        ids = _ids(x)
        found = [ids, *(self._longer(end, ids) for end in state.ends.unbind(1))]
        numbers = torch.stack(found, dim=1)
        scores = state.scores + functional.embedding(numbers, self.weight).sum(dim=1)
        return scores, NGramState(numbers[:, :-1], scores)

    def forward(
        self, x: Input, state: NGramState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, NGramState]:
        ids = zero_padding(_ids(x), lengths)
        start = self.initial_state(len(ids)) if state is None else state
        if ids.shape[1] == 0:
            return start.scores.unsqueeze(1)[:, :0], start
        found = [ids]
        for end in start.ends.unbind(1):
            found.append(self._longer(torch.cat((end.unsqueeze(1), found[-1][:, :-1]), dim=1), ids))
        numbers = torch.stack(found, dim=2)
        said = functional.embedding(numbers, self.weight).sum(dim=2)
        scores = start.scores.unsqueeze(1) + said.cumsum(dim=1)
        ends = last_real(numbers[..., :-1], start.ends, lengths)
        return zero_padding(scores, lengths), NGramState(ends, last_real(scores, start.scores, lengths))

    def logits(self, x: Input, lengths: Tensor) -> Tensor:
        """Logits [B, K] of whole sequences: those after the last real step."""
        return self(x, None, lengths)[1].scores  # type: ignore[no-any-return]

    def _longer(self, ends: Tensor, ids: Tensor) -> Tensor:
        """The numbers of runs `ends` gone on by a token, 0 for those not known: keys are halved until found.

        (A search of torch's own has no form in an ONNX graph.)
        """
        wanted, last = ends * self.tokens + ids, len(self.keys) - 1
        place = torch.zeros_like(wanted)
        for bit in reversed(range(last.bit_length())):
            further = (place + (1 << bit)).clamp(max=last)
            place = torch.where(self.keys[further] <= wanted, further, place)
        return torch.where(self.keys[place] == wanted, place + self.tokens, PAD)


def _ids(x: Input) -> Tensor:
    ids: Tensor = x if isinstance(x, Tensor) else x[0]
    return ids
