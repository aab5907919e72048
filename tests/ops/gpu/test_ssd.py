"""SSD as kernels against its definition."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import pytest
import torch
from kernel_comparison import assert_equal, draw, spoiled
from torch import Tensor

from statewise.ops.ssd import ssd_reference

Kernels = dict[str, ModuleType]
Sizes = tuple[int, int, int, int, int, int]


def compare(
    module: ModuleType,
    sizes: Sizes,
    lengths: Tensor | None,
    *,
    dtype: torch.dtype = torch.float64,
    device: str,
    strength: float = 1.0,
) -> None:
    """Values and gradients of one draw; `sizes` are B, T, H, P, G, N."""
    batch, time, heads, values, groups, states = sizes
    mixed = (batch, time, groups, states)
    shapes = (
        (batch, time, heads, values),
        (batch, time, heads),
        mixed,
        mixed,
        (batch, heads, values, states),
    )
    leaves = [draw(*s, dtype=dtype, device=device, seed=i) for i, s in enumerate(shapes)]
    leaves[1] = -strength * leaves[1].abs()
    leaves[:4] = spoiled(leaves[:4], lengths)
    assert_equal(partial(module.ssd, lengths=lengths), partial(ssd_reference, lengths=lengths), leaves)


def test_equals_the_definition(kernels: Kernels, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several chunks, heads that share a group, values and states over several blocks."""
    monkeypatch.setattr(kernels["ssd"], "STEPS", 16)
    monkeypatch.setattr(kernels["ssd"], "BLOCK", 16)
    compare(kernels["ssd"], (1, 18, 2, 20, 1, 17), None, device=device)


def test_lengths(kernels: Kernels, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty row, a full one, one that ends inside a chunk; several groups."""
    monkeypatch.setattr(kernels["ssd"], "STEPS", 16)
    lengths = torch.tensor([0, 20, 7], device=device)
    compare(kernels["ssd"], (3, 20, 2, 3, 2, 2), lengths, device=device)


def test_strong_decay(kernels: Kernels, device: str) -> None:
    """Sums of decay reach thousands in a chunk; what is left of float32 decides about single steps."""
    compare(kernels["ssd"], (1, 70, 1, 2, 1, 2), None, dtype=torch.float32, strength=40.0, device=device)


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1, 1, 1), (0, 4, 2, 2, 1, 2), (2, 0, 2, 2, 1, 2)])
def test_edges(kernels: Kernels, device: str, sizes: Sizes) -> None:
    compare(kernels["ssd"], sizes, None, device=device)
