"""Trained networks that translate together: the probabilities of each next token are averaged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from statewise.nn.decoder import DecoderState
from statewise.nn.source_attention import Source
from statewise.state import State
from statewise.tasks.translate_network import TranslateNetwork


class Reading(NamedTuple):
    """What several networks know after the source: what no token changes, and what every token does."""

    shared: tuple[Source | Tensor, ...]  # one per member
    layers: tuple[State, ...]


class Translator(nn.Module):
    """Networks of one task; source tokens to a `Reading`, which `step` takes on token by token."""

    def __init__(self, members: Sequence[TranslateNetwork]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    @property
    def networks(self) -> list[TranslateNetwork]:
        """The members."""
        return [cast(TranslateNetwork, member) for member in self.members]

    @torch.no_grad()
    def read(self, source: Tensor, lengths: Tensor) -> Reading:
        """The reading of source tokens [B, S] of `lengths` [B]."""
        states = [member.read(source, lengths) for member in self.networks]
        return Reading(tuple(each.source for each in states), tuple(each.layers for each in states))

    @torch.no_grad()
    def step(
        self, tokens: Tensor, layers: tuple[State, ...], shared: tuple[Source | Tensor, ...]
    ) -> tuple[Tensor, Tensor, tuple[State, ...]]:
        """Tokens [N] to log-probabilities [N, V], mean attention [N, S] and the layers after them.

        `shared` may have fewer rows than `layers`: each source then serves N / B neighbouring rows.
        """
        looks, after = [], []
        for member, source, before in zip(self.networks, shared, layers, strict=True):
            look, state = member.writer.look(tokens, DecoderState(source, before))
            looks.append(look)
            after.append(state.layers)
        log_probs = torch.stack([look.logits.log_softmax(-1) for look in looks])
        weights = torch.stack([look.weights for look in looks]).mean(0)
        return log_probs.logsumexp(0) - math.log(len(looks)), weights, tuple(after)
