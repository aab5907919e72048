"""Gated DeltaNet against its equations with whole matrices, and under the law."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from shaken import shaken
from torch import Tensor
from torch.nn import functional

from statewise.cells.deltanet import DeltaNet
from statewise.core.errors import ConfigError
from statewise.testing import check_recurrence


@pytest.mark.parametrize("options", [{}, {"num_heads": 1}, {"negative_eigenvalues": True}, {"conv_size": 1}])
def test_keeps_the_law(options: dict[str, Any]) -> None:
    check_recurrence(lambda: shaken(DeltaNet(3, 6, **options)), 3)


def test_keeps_the_law_across_chunks() -> None:
    check_recurrence(lambda: shaken(DeltaNet(3, 4, num_heads=2)), 3, batch=3, time=70)


def one_row(cell: DeltaNet, u: Tensor) -> Tensor:
    """Equation 10 for one row, head by head, with the transition as a matrix."""
    size, outputs = cell.head_size, []
    eye = torch.eye(size, dtype=u.dtype)
    projected = u @ cell.input.weight.T
    gate, mixed, write, raw = projected.split(
        [cell.inner, 3 * cell.inner, cell.num_heads, cell.num_heads], -1
    )
    line = functional.pad(mixed, (0, 0, cell.conv_size - 1, 0))
    mixed = torch.stack([(line[t : t + cell.conv_size] * cell.conv_weight.T).sum(0) for t in range(len(u))])
    mixed = (mixed * mixed.sigmoid()).view(len(u), 3, cell.num_heads, size)
    decay = torch.exp(-cell.decay.log_rate.exp() * torch.log1p((raw + cell.decay.bias).exp()))
    for head in range(cell.num_heads):
        S, rows = torch.zeros(size, size, dtype=u.dtype), []
        for t in range(len(u)):
            q, k, v = mixed[t, :, head]
            q, k = q / (q @ q + 1e-6).sqrt() / size**0.5, k / (k @ k + 1e-6).sqrt()
            beta = (2 if cell.negative_eigenvalues else 1) * write[t, head].sigmoid()
            S = decay[t, head] * S @ (eye - beta * torch.outer(k, k)) + beta * torch.outer(v, k)
            o = S @ q
            rows.append(cell.norm_weight * o / (o.square().mean() + 1e-5).sqrt())
        outputs.append(torch.stack(rows))
    return (torch.cat(outputs, -1) * gate * gate.sigmoid()) @ cell.output.weight.T


@pytest.mark.parametrize("negative", [False, True])
def test_equals_the_equations(negative: bool) -> None:
    torch.manual_seed(0)
    cell = shaken(DeltaNet(3, 8, num_heads=2, negative_eigenvalues=negative)).double()
    u = torch.randn(1, 20, 3, dtype=torch.float64)
    torch.testing.assert_close(cell(u)[0][0], one_row(cell, u[0]), atol=1e-11, rtol=1e-11)


def test_keys_have_length_one_and_nothing_is_made_of_nothing() -> None:
    """A zero input writes a zero value under a zero key, and all gradients stay finite."""
    cell = DeltaNet(3, 8)
    x = torch.zeros(1, 5, 3, requires_grad=True)
    y, state = cell(x)
    assert (state.memory == 0).all()
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_state_size() -> None:
    state = DeltaNet(3, 10, num_heads=4).initial_state(2)
    assert state.memory.shape == (2, 4, 3, 3)
    assert state.tail.shape == (2, 3, 36)


@pytest.mark.parametrize("option", ["num_heads", "conv_size"])
def test_refuses(option: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DeltaNet(3, 4, **{option: 0})
    assert str(caught.value) == f"{option}: got 0, want 1 or more."
