"""What the recurrent scans share: rows laid end to end, and the large products behind their loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from statewise.ops.linear import faster, product


def steps_per_row(steps: int, batch: int, lengths: Tensor | None) -> tuple[int, Tensor | None]:
    """T (the longest) and the lengths as a kernel reads them, for `steps` real steps of `batch` rows."""
    if lengths is None:
        return steps // max(batch, 1), None
    lengths = lengths.to(torch.int64).contiguous()
    return int(lengths.max()) if batch else 0, lengths


def each_row(
    run: Callable[[Any, Any], Any],
    projected: Tensor,
    state: tuple[Tensor, ...],
    lengths: Tensor | None,
    reverse: bool,
    along: tuple[Tensor, ...] = (),
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Row by row, step by step, with run(inputs of a step, state) -> state: outputs [N, …], last state.

    The inputs are the row's parts of `projected` and of each tensor of `along` [N, …]. Plain and slow: the
    definition of the order of things, to which the kernels are held.
    """
    time, _ = steps_per_row(len(projected), len(state[0]), lengths)
    counts = [time] * len(state[0]) if lengths is None else lengths.tolist()
    outputs: list[Tensor] = [projected] * len(projected)
    finals, start = [], 0
    for row, count in enumerate(counts):
        now = tuple(part[row : row + 1] for part in state)
        order = range(start, start + count)
        for at in reversed(order) if reverse else order:
            now = run(tuple(part[at : at + 1] for part in (projected, *along)), now)
            outputs[at] = now[0]
        finals.append(now)
        start += count
    hidden = torch.cat(outputs) if outputs else state[0].new_zeros(0, state[0].shape[1])
    last = tuple(torch.cat(parts) for parts in zip(*finals, strict=True)) if finals else state
    return hidden, last


def contiguous(*parts: Tensor | None) -> list[Tensor | None]:
    """Every part as a kernel reads it."""
    return [None if part is None else part.contiguous() for part in parts]


def weight_gradient(grad: Tensor, seen: Tensor, out: Tensor) -> Tensor:
    """`out` [O, I] = the sum over steps of grad [N, O] times seen [N, I]."""
    if grad.dtype == torch.float32 and faster():
        return product(grad.t(), seen, out)
    return torch.mm(grad.t(), seen, out=out)
