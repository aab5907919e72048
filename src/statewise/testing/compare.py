"""Two states side by side: what they are made of, and how far apart they are."""

from __future__ import annotations

import torch
from torch import Tensor

from statewise.state import State


def signature(value: State) -> object:
    """What has to stay the same: nested types, shapes, dtypes and devices; not the size of what grows."""
    if isinstance(value, tuple):
        growing, names = getattr(value, "growing", ()), getattr(value, "_fields", range(len(value)))
        forms = (_any_size if name in growing else signature for name in names)
        return type(value), tuple(form(part) for form, part in zip(forms, value, strict=True))
    if isinstance(value, Tensor):
        return tuple(value.shape), value.dtype, value.device
    return type(value)


def _any_size(leaf: Tensor) -> object:
    return leaf.shape[0], tuple(leaf.shape[2:]), leaf.dtype, leaf.device


def fields(value: State) -> str:
    """The signature in words: "LSTMState(hidden: float32[4, 8], cell: float32[4, 8])"."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if not isinstance(value, tuple):
        return type(value).__name__
    names = getattr(value, "_fields", None)
    parts = [fields(part) for part in value]
    if names is None:
        return f"({', '.join(parts)})"
    return f"{type(value).__name__}({', '.join(f'{n}: {p}' for n, p in zip(names, parts, strict=True))})"


def difference(a: Tensor, b: Tensor) -> tuple[float, list[int]]:
    """The largest absolute difference of two tensors of one shape, and where it stands.

    Equal infinities and two NaN differ by 0, one NaN by infinity.
    """
    if a.numel() == 0:
        return 0.0, []
    a, b = a.detach().double(), b.detach().double()
    gap = (a - b).abs()
    gap = torch.where((a == b) | (a.isnan() & b.isnan()), 0.0, gap.nan_to_num(nan=float("inf")))
    flat = int(gap.argmax())
    where = [int(index) for index in torch.unravel_index(torch.tensor(flat), gap.shape)]
    return float(gap.flatten()[flat]), where
