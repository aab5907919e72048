"""Mamba-2 against its equations written out another way, and under the law."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from shaken import shaken
from torch import Tensor
from torch.nn import functional

from statewise.cells.mamba2 import Mamba2
from statewise.core.errors import ConfigError
from statewise.testing import check_recurrence


@pytest.mark.parametrize("options", [{}, {"state_size": 3, "num_heads": 2}, {"conv_size": 1}, {"expand": 1}])
def test_keeps_the_law(options: dict[str, Any]) -> None:
    check_recurrence(lambda: shaken(Mamba2(3, 5, **options)), 3)


def test_keeps_the_law_across_chunks() -> None:
    check_recurrence(lambda: shaken(Mamba2(3, 4, state_size=3, num_heads=2)), 3, batch=3, time=70)


def dual_form(cell: Mamba2, u: Tensor) -> Tensor:
    """The authors' module, state space by its dual: masked attention over the whole sequence (section 3)."""
    heads, size, state = cell.num_heads, cell.head_size, cell.state_size
    projected = u @ cell.input.weight.T
    z = projected[..., : cell.inner]
    mixed, raw = projected[..., cell.inner : -heads], projected[..., -heads:]
    step = torch.log1p((raw + cell.decay.bias).exp())
    padded = functional.pad(mixed.transpose(1, 2), (cell.conv_size - 1, 0))
    weight = cell.conv_weight.unsqueeze(1)
    mixed = functional.conv1d(padded, weight, cell.conv_bias, groups=len(weight)).transpose(1, 2)
    mixed = mixed * mixed.sigmoid()
    x = mixed[..., : cell.inner].unflatten(-1, (heads, size))
    keys, queries = mixed[..., cell.inner : cell.inner + state], mixed[..., cell.inner + state :]
    total = (-cell.decay.log_rate.exp() * step).cumsum(1)
    logs = (total.unsqueeze(2) - total.unsqueeze(1)).permute(0, 3, 1, 2)  # [B, heads, t, s]
    weights = logs.exp().tril() * torch.einsum("btn,bsn->bts", queries, keys).unsqueeze(1)
    y = torch.einsum("bhts,bsh,bshp->bthp", weights, step, x) + cell.skip.view(1, 1, -1, 1) * x
    y = y.flatten(2) * z * z.sigmoid()
    y = cell.norm_weight * y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return y @ cell.output.weight.T


@pytest.mark.parametrize("time", [1, 50])
def test_equals_the_dual_form(time: int) -> None:
    torch.manual_seed(0)
    cell = shaken(Mamba2(3, 10, state_size=6, num_heads=4)).double()
    u = torch.randn(2, time, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(u)[0], dual_form(cell, u), atol=1e-11, rtol=1e-11)


def test_first_steps_and_rates_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    cell = Mamba2(3, 64, num_heads=64)
    steps, decays = cell.decay(torch.zeros(64))
    assert 1e-3 <= steps.min() < 3e-3
    assert 3e-2 < steps.max() <= 1e-1 + 1e-6
    rates = -decays / steps
    assert 1 <= rates.min() < 2
    assert 15 < rates.max() <= 16


def test_state_size() -> None:
    state = Mamba2(3, 16, state_size=8, num_heads=4, conv_size=4).initial_state(2)
    assert state.memory.shape == (2, 4, 8, 8)
    assert state.tail.shape == (2, 3, 48)


@pytest.mark.parametrize("option", ["state_size", "num_heads", "expand", "conv_size"])
def test_refuses(option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Mamba2(3, 4, **{option: 0})
    assert str(caught.value) == f"{option}: got 0, want 1 or more."
