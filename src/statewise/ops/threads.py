"""How many processor threads an inference pass may use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

# Weights below which threads cost more than they save: waking one takes longer than its share of a step,
# and on a busy machine the others wait for it.
SMALL = 200_000


def is_small(network: nn.Module) -> bool:
    """Whether `network` runs faster on one thread."""
    return sum(weight.numel() for weight in network.parameters()) < SMALL


@contextmanager
def one_thread(when: bool = True) -> Iterator[None]:
    """Inside, torch uses one thread (if `when`); afterwards as many as before."""
    before = torch.get_num_threads()
    if not when or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
