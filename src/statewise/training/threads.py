"""How many processor threads pay off."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from statewise.data.chunks import Chunk

# Multiply-adds per time step (lanes x weights) below which a second thread costs more than it saves.
SMALL = 4_000_000


def choose_threads(setting: int | str, parameters: Sequence[nn.Parameter], chunk: Chunk) -> int:
    """The thread count of `setting`; "auto": 1 when a time step is little work, else what torch uses now."""
    if isinstance(setting, int):
        return setting
    weights = sum(parameter.numel() for parameter in parameters)
    return 1 if chunk.weight.shape[0] * weights < SMALL else torch.get_num_threads()
