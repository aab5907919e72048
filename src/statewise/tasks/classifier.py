"""A trained classifier: the members' mean probabilities, at the temperature that calibrates them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from statewise.core.errors import ConfigError
from statewise.recurrence import Input, Recurrence, zero_padding
from statewise.state import State
from statewise.tasks.classify_network import CausalClassifier, WholeClassifier

_TINY = 1e-7  # probabilities are kept this far from 0 before their logarithm is taken
READS_THE_FUTURE = "reads the future: it cannot stream; train with bidirectional=False."


class Mixture(nn.Module):
    """Logits of the members to calibrated probabilities.

    The members' probabilities are averaged, and the logarithm of that is divided by the temperature.
    """

    temperature: Tensor

    def __init__(self, multi_label: bool) -> None:
        super().__init__()
        self.multi_label = multi_label
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, logits: Sequence[Tensor]) -> Tensor:
        """Logits [..., K] of each member to probabilities [..., K]."""
        mixed = self.logits(logits) / self.temperature
        return mixed.sigmoid() if self.multi_label else mixed.softmax(dim=-1)

    def logits(self, logits: Sequence[Tensor]) -> Tensor:
        """The logits of the mean probabilities, before calibration; those of one member are its own."""
        if len(logits) == 1:
            return logits[0]
        stacked = torch.stack(tuple(logits))
        if self.multi_label:
            yes = stacked.sigmoid().mean(dim=0).clamp(_TINY, 1 - _TINY)
            return yes.log() - (1 - yes).log()
        return stacked.softmax(dim=-1).mean(dim=0).clamp(min=_TINY).log()


class LiveClassifier(Recurrence):
    """Tokens or numbers to probabilities [B, T, K] of the label so far; one state per member."""

    def __init__(self, members: Sequence[CausalClassifier], multi_label: bool) -> None:
        super().__init__()
        self.parts = list(members)
        self.members = nn.ModuleList(members)
        self.mixture = Mixture(multi_label)

    def initial_state(self, batch: int) -> tuple[State, ...]:
        return tuple(member.initial_state(batch) for member in self.parts)

    def step(self, x: Input, state: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        """One token, or one step of numbers, to probabilities [B, K]."""
        answers = [member.step(x, part) for member, part in zip(self.parts, state, strict=True)]
        logits, after = zip(*answers, strict=True)
        return self.mixture(logits), after

    def forward(
        self, x: Input, state: tuple[State, ...] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[State, ...]]:
        """A sequence to the probabilities after every step."""
        before = (None,) * len(self.parts) if state is None else state
        answers = [member(x, part, lengths) for member, part in zip(self.parts, before, strict=True)]
        logits, after = zip(*answers, strict=True)
        return zero_padding(self.mixture(logits), lengths), after

    def logits(self, x: Input, lengths: Tensor) -> Tensor:
        """Logits [B, K] of whole sequences, before calibration."""
        return self.mixture.logits([member.logits(x, lengths) for member in self.parts])


class WholeSequenceClassifier(nn.Module):
    """Whole sequences to probabilities [B, K], read from both ends."""

    def __init__(self, members: Sequence[WholeClassifier], multi_label: bool) -> None:
        super().__init__()
        self.parts = list(members)
        self.members = nn.ModuleList(members)
        self.mixture = Mixture(multi_label)

    def forward(self, x: Input, lengths: Tensor) -> Tensor:
        """Probabilities [B, K]."""
        made: Tensor = self.mixture([member.logits(x, lengths) for member in self.parts])
        return made

    def logits(self, x: Input, lengths: Tensor) -> Tensor:
        """Logits [B, K], before calibration."""
        return self.mixture.logits([member.logits(x, lengths) for member in self.parts])


Classifier = LiveClassifier | WholeSequenceClassifier


def classifier(members: Sequence[CausalClassifier | WholeClassifier], multi_label: bool) -> Classifier:
    """The classifier of one or several networks of one form."""
    causal = [member for member in members if isinstance(member, CausalClassifier)]
    if len(causal) == len(members):
        return LiveClassifier(causal, multi_label)
    return WholeSequenceClassifier([m for m in members if isinstance(m, WholeClassifier)], multi_label)


def live_form(network: Classifier) -> LiveClassifier:
    """The classifier as a recurrence. Raises ConfigError where it reads the future."""
    if isinstance(network, LiveClassifier):
        return network
    raise ConfigError(f"classify: a bidirectional classifier {READS_THE_FUTURE}")
