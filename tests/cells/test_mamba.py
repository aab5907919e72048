"""Mamba against the released block written with torch's modules; first values; eigenvalues below zero."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.mamba import Mamba, MambaState


class Released(nn.Module):
    """The released block's slow path: its layers, its einsums, its order of things."""

    def __init__(self, cell: Mamba) -> None:
        super().__init__()
        inner, rank, size = cell.inner, cell.rank, cell.state_size
        self.in_proj = nn.Linear(cell.input_size, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, cell.conv_size, groups=inner, padding=cell.conv_size - 1)
        self.x_proj = nn.Linear(inner, rank + 2 * size, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.A, self.D = cell._decay(), cell.around
        self.out_proj = nn.Linear(inner, cell.hidden_size, bias=False)
        self.rank, self.size = rank, size
        pairs = [
            (self.in_proj.weight, cell.input_weight),
            (self.conv1d.weight, cell.conv_weight.unsqueeze(1)),
            (self.conv1d.bias, cell.conv_bias),
            (self.x_proj.weight, cell.select_weight),
            (self.dt_proj.weight, cell.step_weight),
            (self.dt_proj.bias, cell.step_bias),
            (self.out_proj.weight, cell.output_weight),
        ]
        self.double()
        with torch.no_grad():
            for theirs, ours in pairs:
                assert theirs is not None
                theirs.copy_(ours)

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        u, z = self.in_proj(x).transpose(1, 2).chunk(2, dim=1)
        u = functional.silu(self.conv1d(u)[..., :length])
        dt, B, C = self.x_proj(u.transpose(1, 2)).split((self.rank, self.size, self.size), dim=-1)
        delta = functional.softplus(self.dt_proj(dt))
        decay = torch.exp(torch.einsum("bld,dn->bldn", delta, self.A))
        drive = torch.einsum("bld,bln,bdl->bldn", delta, B, u)
        state, rows = torch.zeros_like(drive[:, 0]), []
        for t in range(length):
            state = decay[:, t] * state + drive[:, t]
            rows.append(torch.einsum("bdn,bn->bd", state, C[:, t]))
        y = torch.stack(rows, 1) + u.transpose(1, 2) * self.D
        y = self.out_proj(y * functional.silu(z.transpose(1, 2)))
        return y


@pytest.mark.parametrize("sizes", [(6, 6), (3, 20)])
def test_is_the_released_block(sizes: tuple[int, int]) -> None:
    torch.manual_seed(0)
    cell = Mamba(*sizes, state_size=5).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x = torch.randn(2, 17, sizes[0]).double()
    y, state = cell(x)
    torch.testing.assert_close(y, Released(cell)(x), atol=1e-11, rtol=1e-9, check_stride=False)
    assert isinstance(state, MambaState)
    assert state.inputs.shape == (2, 3, 2 * sizes[1])
    assert state.states.shape == (2, 2 * sizes[1], 5)


def test_first_values() -> None:
    torch.manual_seed(0)
    cell = Mamba(32, 64)
    steps = functional.softplus(cell.step_bias.detach().double())
    assert 0.001 <= steps.min() < 0.0015
    assert 0.07 < steps.max() < 0.1001
    assert steps.log().mean().item() == pytest.approx(math.log(0.01), abs=0.3)  # log-uniform
    torch.testing.assert_close(cell._decay()[7], -torch.arange(1.0, 17))
    assert (cell.around == 1).all()
    assert cell.rank == 4
    assert cell.step_weight.abs().max() <= 0.5
    assert cell.input_weight.abs().max() <= 32**-0.5


def test_negative_eigenvalues_turn_a_state_around() -> None:
    """With Δ large exp(Δ A) is 0 and a state dies at once; 2 · 0 - 1 keeps its size and flips its sign."""
    torch.manual_seed(0)
    for negative, factor in ((False, 0.0), (True, -1.0)):
        cell = Mamba(2, 3, state_size=4, conv_size=1, negative_eigenvalues=negative)
        with torch.no_grad():
            cell.step_bias.fill_(200.0)
            cell.select_weight[cell.rank : cell.rank + 4].zero_()  # B = 0: nothing enters
        state = MambaState(torch.zeros(1, 0, 6), torch.randn(1, 6, 4))
        for after in (cell.step(torch.randn(1, 2), state)[1], cell(torch.randn(1, 1, 2), state)[1]):
            torch.testing.assert_close(after.states, factor * state.states)
