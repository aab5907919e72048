"""RG-LRU and its block against the released layers' lines; first values; eigenvalues below zero."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from statewise.cells.rglru import RGLRU


def released_layer(cell: RGLRU, u: Tensor) -> Tensor:
    """The gates in blocks, log a, the root, the loop; a = σ(Λ) as the paper writes it."""
    heads, head = cell.num_heads, cell.inner // cell.num_heads
    weight_a, weight_x = cell.gate_weight.chunk(2, dim=-1)
    bias_a, bias_x = cell.gate_bias.view(heads, -1).chunk(2, dim=-1)
    blocks = u.reshape(*u.shape[:2], heads, head)
    r, i = (
        torch.sigmoid(torch.einsum("bthi,hij->bthj", blocks, weight) + bias).flatten(2)
        for weight, bias in ((weight_a, bias_a), (weight_x, bias_x))
    )
    a = torch.sigmoid(cell.openness) ** (8 * r)
    h, rows = torch.zeros_like(u[:, 0]), []
    for t in range(u.shape[1]):
        h = a[:, t] * h + torch.sqrt(1 - a[:, t] ** 2) * (i[:, t] * u[:, t])
        rows.append(h)
    return torch.stack(rows, 1)


def scrambled(cell: RGLRU) -> RGLRU:
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return cell.double()


@pytest.mark.parametrize("heads", [1, 2])
def test_the_plain_layer(heads: int) -> None:
    torch.manual_seed(0)
    cell = scrambled(RGLRU(3, 6, block=False, num_heads=heads))
    x = torch.randn(2, 15, 3).double()
    torch.testing.assert_close(cell(x)[0], released_layer(cell, cell.input(x)), atol=1e-11, rtol=1e-9)


def test_the_block() -> None:
    torch.manual_seed(0)
    cell = scrambled(RGLRU(3, 6, num_heads=2))
    assert cell.inner == 8
    x = torch.randn(2, 15, 3).double()
    g, u = cell.input(x).chunk(2, dim=-1)
    padded = functional.pad(u.transpose(1, 2), (3, 0))
    u = functional.conv1d(padded, cell.conv_weight[:, None], cell.conv_bias, groups=8).transpose(1, 2)
    want = cell.output(functional.gelu(g, approximate="tanh") * released_layer(cell, u))
    torch.testing.assert_close(cell(x)[0], want, atol=1e-11, rtol=1e-9)


def test_first_values() -> None:
    torch.manual_seed(0)
    cell = RGLRU(3, 900, block=False)
    kept = torch.sigmoid(cell.openness.detach().double()) ** 8
    assert 0.9 <= kept.min() < 0.901
    assert 0.998 < kept.max() <= 0.99901
    assert kept.mean().item() == pytest.approx(0.9495, abs=0.003)
    assert RGLRU(3, 6).inner == 8  # a third wider, as in the paper


def test_negative_eigenvalues() -> None:
    torch.manual_seed(0)
    plain = RGLRU(3, 6, block=False).double()
    signed = RGLRU(3, 6, block=False, negative_eigenvalues=True).double()
    signed.load_state_dict(plain.state_dict())
    u = 40 * torch.randn(50, 6).double()
    (a, _), (s, b) = plain._coefficients(u), signed._coefficients(u)
    torch.testing.assert_close(s, 2 * a - 1)
    gates = (u @ plain.gate_weight[0]).sigmoid()
    torch.testing.assert_close(b, (1 - s**2).clamp(min=1e-12).sqrt() * gates[:, 6:] * u, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        signed.openness.fill_(-2.0)
    assert signed._coefficients(u)[0].min() < 0


def test_a_closed_gate_has_a_finite_gradient() -> None:
    """r = 0 to the last bit makes a = 1, where the slope of √(1 - a²) has no end."""
    cell = RGLRU(2, 4, block=False)
    with torch.no_grad():
        cell.gate_bias.fill_(-200.0)
    cell(torch.randn(1, 5, 2))[0].sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in cell.parameters())
