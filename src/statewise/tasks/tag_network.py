"""The networks of a tagger: words to scores of labels, from both ends of a sentence or from its start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.crf import Chain, Legality, Transitions, mean_chain, tempered
from statewise.nn.embedding import LockedDropout
from statewise.nn.encoder import BidirectionalBackbone
from statewise.nn.filtering import filter_start, filter_step
from statewise.nn.word_front import WordFront
from statewise.recurrence import Recurrence, check_sequence, run_steps, zero_padding
from statewise.state import State


class Scores(NamedTuple):
    """All that a random field needs of the network."""

    emissions: Tensor  # [B, T, K]
    chain: Chain


class Readout(nn.Module):
    """Outputs of a backbone [..., H] to emissions [..., K], and the scores between labels.

    Without `crf` these scores stay 0 and only what is illegal counts between labels.
    """

    def __init__(
        self, hidden_size: int, labels: int, legality: Legality | None, *, crf: bool, dropout: float
    ) -> None:
        super().__init__()
        self.dropout = LockedDropout(dropout)
        self.head = nn.Linear(hidden_size, labels)
        self.transitions = Transitions(labels, legality)
        self.transitions.requires_grad_(crf)

    def forward(self, y: Tensor) -> Tensor:
        """y [B, T, H] or [B, H] to emissions of as many labels."""
        found: Tensor = self.head(self.dropout(y))
        return found


class BothEnds(nn.Module):
    """One member of a tagger that reads whole sentences: words [B, T, W] to emissions [B, T, K]."""

    def __init__(
        self, front: WordFront, backbone: BackboneConfig, readout: Readout, *, dropout: float
    ) -> None:
        super().__init__()
        self.front, self.readout = front, readout
        self.dropout = LockedDropout(dropout)
        self.encoder = BidirectionalBackbone(front.output_size, backbone)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Emissions; what stands after a row's length means nothing."""
        found: Tensor = self.readout(self.encoder(self.dropout(self.front(x)), lengths))
        return found


class FromStart(Recurrence):
    """One member of a tagger that reads word by word: words [B, T, W] to emissions [B, T, K]."""

    def __init__(
        self, front: WordFront, backbone: BackboneConfig, readout: Readout, *, dropout: float
    ) -> None:
        super().__init__()
        self.front, self.readout = front, readout
        self.dropout = LockedDropout(dropout)
        self.backbone = Backbone(front.output_size, backbone)

    def initial_state(self, batch: int) -> State:
        """The backbone's."""
        return self.backbone.initial_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One word [B, W] to emissions [B, K]."""
        y, state = self.backbone.step(self.front(x), state)
        return self.readout(y), state

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """A sequence of words."""
        y, state = self.backbone(self.dropout(self.front(zero_padding(x, lengths))), state, lengths)
        return zero_padding(self.readout(y), lengths), state


class Tagger(nn.Module):
    """What a bidirectional model holds: its members, pooled, at the temperature that calibrates them.

    Reads the future, so it is no Recurrence: it cannot stream.
    """

    temperature: Tensor

    def __init__(self, members: Sequence[BothEnds]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.parts = list(members)
        self.register_buffer("temperature", torch.ones(()))

    def scores(self, x: Tensor, lengths: Tensor) -> Scores:
        """The calibrated scores of words [B, T, W]."""
        emissions = torch.stack([member(x, lengths) for member in self.parts]).mean(dim=0)
        return _calibrated(emissions, self.parts, self.temperature)


class LiveTaggerState(NamedTuple):
    """What the members remember, and how likely each label of the newest word is."""

    members: tuple[State, ...]
    filter: Tensor  # [B, K + 1]


class LiveTagger(Recurrence):
    """What a causal model holds: words [B, T, W] to log p(label | words so far) [B, T, K], word by word."""

    temperature: Tensor

    def __init__(self, members: Sequence[FromStart]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.parts = list(members)
        self.register_buffer("temperature", torch.ones(()))

    def scores(self, x: Tensor, lengths: Tensor) -> Scores:
        """The calibrated scores of whole sentences, whose labels may then look back from the end."""
        emissions = torch.stack([member(x, None, lengths)[0] for member in self.parts]).mean(dim=0)
        return _calibrated(emissions, self.parts, self.temperature)

    def initial_state(self, batch: int) -> LiveTaggerState:
        """Nothing read, and before the first word for certain."""
        start = self.parts[0].readout.transitions.start
        return LiveTaggerState(
            tuple(member.initial_state(batch) for member in self.parts), filter_start(start, batch)
        )

    def step(self, x: Tensor, state: LiveTaggerState) -> tuple[Tensor, LiveTaggerState]:
        """One word [B, W] to log probabilities [B, K]."""
        pairs = [member.step(x, part) for member, part in zip(self.parts, state.members, strict=True)]
        emissions, members = zip(*pairs, strict=True)
        emission, chain = _calibrated(torch.stack(emissions).mean(dim=0), self.parts, self.temperature)
        found, filtered = filter_step(emission, chain, state.filter)
        return found, LiveTaggerState(members, filtered)

    def forward(
        self, x: Tensor, state: LiveTaggerState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, LiveTaggerState]:
        """A sequence of words."""
        check_sequence(x, lengths, x.shape[-1], "tagger")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], state.filter.shape[1] - 1, dtype=state.filter.dtype), state
        pairs = [member(x, part, lengths) for member, part in zip(self.parts, state.members, strict=True)]
        emissions, members = zip(*pairs, strict=True)
        emission, chain = _calibrated(torch.stack(emissions).mean(dim=0), self.parts, self.temperature)
        found, filtered = run_steps(
            lambda e, before: filter_step(e, chain, before), emission, state.filter, lengths
        )
        return found, LiveTaggerState(members, filtered)


def _calibrated(emissions: Tensor, parts: Sequence[BothEnds | FromStart], temperature: Tensor) -> Scores:
    chain = mean_chain([member.readout.transitions() for member in parts])
    return Scores(emissions / temperature, tempered(chain, temperature))
