"""The last inputs of a sequence: the state of everything that looks back over a fixed window."""

from __future__ import annotations

import torch
from torch import Tensor


def last_inputs(line: Tensor, count: int, lengths: Tensor | None) -> Tensor:
    """The last `count` real entries [B, count, ...] of `line` [B, count + T, ...], oldest first.

    `line` starts with the `count` entries from before the sequence; `lengths` [B] counts the real steps after
    them.
    """
    if lengths is None:
        return line[:, line.shape[1] - count :]
    index = lengths.view(-1, 1) + torch.arange(count, device=line.device)
    index = index.view(*index.shape, *([1] * (line.dim() - 2)))
    return line.gather(1, index.expand(-1, -1, *line.shape[2:]))
