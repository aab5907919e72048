"""A trained classifier: the networks' mean probabilities, what runs of tokens say, and one temperature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from statewise.core.errors import ConfigError
from statewise.nn.n_grams import NGramScores
from statewise.recurrence import Input, Recurrence, zero_padding
from statewise.state import State
from statewise.tasks.classify_network import CausalClassifier, WholeClassifier

_TINY = 1e-7  # probabilities are kept this far from 0 before their logarithm is taken
EVEN = 0.5  # share of the runs where no held-out rows say better
READS_THE_FUTURE = "reads the future: it cannot stream; train with bidirectional=False."


class Mixture(nn.Module):
    """Logits of the networks, and with `wide` last of all those of runs of tokens, to probabilities.

    The networks' probabilities are averaged. The logarithm of that counts 1 - share and the logits of the
    runs share (a logarithmic opinion pool, Hinton 1999); the sum is divided by the temperature.
    """

    temperature: Tensor
    share: Tensor

    def __init__(self, multi_label: bool, wide: bool = False) -> None:
        super().__init__()
        self.multi_label, self.wide = multi_label, wide
        self.register_buffer("temperature", torch.ones(()))
        if wide:
            self.register_buffer("share", torch.tensor(EVEN))

    def forward(self, logits: Sequence[Tensor]) -> Tensor:
        """Logits [..., K] of each part to probabilities [..., K]."""
        mixed = self.logits(logits) / self.temperature
        return mixed.sigmoid() if self.multi_label else mixed.softmax(dim=-1)

    def logits(self, logits: Sequence[Tensor]) -> Tensor:
        """The logits of all parts together, before calibration."""
        if not self.wide:
            return self._mean(logits)
        return (1.0 - self.share) * self._mean(logits[:-1]) + self.share * logits[-1]

    def _mean(self, logits: Sequence[Tensor]) -> Tensor:
        """The logits of the mean probabilities; those of one network are its own."""
        if len(logits) == 1:
            return logits[0]
        stacked = torch.stack(tuple(logits))
        if self.multi_label:
            yes = stacked.sigmoid().mean(dim=0).clamp(_TINY, 1 - _TINY)
            return yes.log() - (1 - yes).log()
        return stacked.softmax(dim=-1).mean(dim=0).clamp(min=_TINY).log()


class LiveClassifier(Recurrence):
    """Tokens or numbers to probabilities [B, T, K] of the label so far; one state per part."""

    def __init__(
        self, members: Sequence[CausalClassifier], multi_label: bool, wide: NGramScores | None = None
    ) -> None:
        super().__init__()
        self.networks = list(members)
        self.members, self.wide = nn.ModuleList(members), wide
        self.parts: list[CausalClassifier | NGramScores] = [*members, *([] if wide is None else [wide])]
        self.mixture = Mixture(multi_label, wide is not None)

    def initial_state(self, batch: int) -> tuple[State, ...]:
        return tuple(part.initial_state(batch) for part in self.parts)

    def step(self, x: Input, state: tuple[State, ...]) -> tuple[Tensor, tuple[State, ...]]:
        """One token, or one step of numbers, to probabilities [B, K]."""
        answers = [part.step(x, own) for part, own in zip(self.parts, state, strict=True)]
        logits, after = zip(*answers, strict=True)
        return self.mixture(logits), after

    def forward(
        self, x: Input, state: tuple[State, ...] | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, tuple[State, ...]]:
        """A sequence to the probabilities after every step."""
        before = (None,) * len(self.parts) if state is None else state
        answers = [part(x, own, lengths) for part, own in zip(self.parts, before, strict=True)]
        logits, after = zip(*answers, strict=True)
        return zero_padding(self.mixture(logits), lengths), after

    def logits(self, x: Input, lengths: Tensor) -> Tensor:
        """Logits [B, K] of whole sequences, before calibration."""
        return self.mixture.logits([part.logits(x, lengths) for part in self.parts])


class WholeSequenceClassifier(nn.Module):
    """Whole sequences to probabilities [B, K], read from both ends."""

    def __init__(
        self, members: Sequence[WholeClassifier], multi_label: bool, wide: NGramScores | None = None
    ) -> None:
        super().__init__()
        self.networks = list(members)
        self.members, self.wide = nn.ModuleList(members), wide
        self.parts: list[WholeClassifier | NGramScores] = [*members, *([] if wide is None else [wide])]
        self.mixture = Mixture(multi_label, wide is not None)

    def forward(self, x: Input, lengths: Tensor) -> Tensor:
        """Probabilities [B, K]."""
        made: Tensor = self.mixture([part.logits(x, lengths) for part in self.parts])
        return made

    def logits(self, x: Input, lengths: Tensor) -> Tensor:
        """Logits [B, K], before calibration."""
        return self.mixture.logits([part.logits(x, lengths) for part in self.parts])


Classifier = LiveClassifier | WholeSequenceClassifier


def classifier(
    members: Sequence[CausalClassifier | WholeClassifier], multi_label: bool, wide: NGramScores | None = None
) -> Classifier:
    """The classifier of one or several networks of one form, and of runs of tokens."""
    causal = [member for member in members if isinstance(member, CausalClassifier)]
    if len(causal) == len(members):
        return LiveClassifier(causal, multi_label, wide)
    return WholeSequenceClassifier([m for m in members if isinstance(m, WholeClassifier)], multi_label, wide)


def live_form(network: Classifier) -> LiveClassifier:
    """The classifier as a recurrence. Raises ConfigError where it reads the future."""
    if isinstance(network, LiveClassifier):
        return network
    raise ConfigError(f"classify: a bidirectional classifier {READS_THE_FUTURE}")
