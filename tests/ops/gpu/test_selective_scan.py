"""The selective scan as kernels against its definition."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from kernel_comparison import assert_equal, draw, spoiled
from torch import Tensor

from statewise.ops.selective_scan import selective_scan_reference

Kernels = dict[str, ModuleType]


def compare(
    module: ModuleType,
    sizes: tuple[int, int, int, int],
    lengths: Tensor | None,
    *,
    span: int = 4,
    softplus: bool = True,
    gated: bool = True,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
) -> None:
    """Values and gradients of one draw, with and without the arguments that may be left out."""
    batch, time, channels, states = sizes
    line, mixed = (batch, time, channels), (batch, time, states)
    shapes = (line, line, (channels, states), mixed, mixed, (channels,), (batch, channels, states))
    optional = (line, (channels,)) if gated else ()
    leaves = [draw(*s, dtype=dtype, device=device, seed=i) for i, s in enumerate((*shapes, *optional))]
    leaves[2] = -leaves[2].abs()
    leaves[1] = 8 * leaves[1] if softplus else leaves[1].abs()  # 8: also where softplus is linear or nothing
    for index in (0, 1, 3, 4, *([7] if gated else [])):
        (leaves[index],) = spoiled([leaves[index]], lengths)

    def run(scan: object, options: dict[str, object], *given: Tensor) -> tuple[Tensor, ...]:
        gate, bias = given[7:] if gated else (None, None)
        assert callable(scan)
        return scan(*given[:7], gate=gate, delta_bias=bias, softplus=softplus, lengths=lengths, **options)

    assert_equal(
        lambda *given: run(module.selective_scan, {"span": span}, *given),
        lambda *given: run(selective_scan_reference, {}, *given),
        leaves,
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("gated", [True, False])
def test_equals_the_definition(
    kernels: Kernels, device: str, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, gated: bool
) -> None:
    """Several spans, of which the states of only one are kept at a time, and several blocks of channels."""
    module = kernels["selective_scan"]
    monkeypatch.setattr(module, "LANES", 8)
    monkeypatch.setattr(module, "WORKSPACE", 1)
    compare(module, (1, 7, 3, 3), None, gated=gated, softplus=gated, dtype=dtype, device=device)


def test_lengths(kernels: Kernels, device: str) -> None:
    lengths = torch.tensor([0, 5, 3], device=device)
    compare(kernels["selective_scan"], (3, 5, 2, 4), lengths, span=2, device=device)


@pytest.mark.parametrize("sizes", [(2, 1, 1, 1), (1, 2, 1, 17), (0, 3, 2, 2), (2, 0, 2, 2), (1, 2, 0, 3)])
def test_edges(kernels: Kernels, device: str, sizes: tuple[int, int, int, int]) -> None:
    compare(kernels["selective_scan"], sizes, None, device=device)
