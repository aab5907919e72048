"""The temporal convolutional network against the authors' block, and the window it sees."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from statewise.cells.conv import Conv


class TemporalBlock(nn.Module):
    """The authors' block: pad on both sides, cut the right side off."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.cut = (kernel_size - 1) * dilation
        padding = {"padding": self.cut, "dilation": dilation}
        self.first = weight_norm(nn.Conv1d(inputs, outputs, kernel_size, **padding))
        self.second = weight_norm(nn.Conv1d(outputs, outputs, kernel_size, **padding))
        self.around = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor) -> Tensor:
        z = x
        for conv in (self.first, self.second):
            z = conv(z)[..., : x.shape[-1]].relu()
        return (z + (x if self.around is None else self.around(x))).relu()


@pytest.mark.parametrize("sizes", [(3, 5), (4, 4)])
@pytest.mark.parametrize(("kernel_size", "dilation", "levels"), [(3, 1, 2), (2, 3, 1), (1, 1, 1)])
def test_is_the_authors_network(sizes: tuple[int, int], kernel_size: int, dilation: int, levels: int) -> None:
    torch.manual_seed(0)
    ours = Conv(*sizes, kernel_size=kernel_size, dilation=dilation, levels=levels).double()
    blocks = [
        TemporalBlock(sizes[0] if level == 0 else sizes[1], sizes[1], kernel_size, dilation * 2**level)
        for level in range(levels)
    ]
    theirs = nn.Sequential(*blocks).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_()
        for index, layer in enumerate(ours._layers):
            conv = blocks[index // 2].second if index % 2 else blocks[index // 2].first
            conv.parametrizations.weight.original0.copy_(layer.length.view(-1, 1, 1))
            conv.parametrizations.weight.original1.copy_(layer.direction)
            conv.bias.copy_(layer.bias)
        if ours.around is not None:
            around = blocks[0].around
            assert around is not None
            around.weight.copy_(ours.around.weight[..., None])
            around.bias.copy_(ours.around.bias)
    x = torch.randn(2, 20, sizes[0]).double()
    want = theirs(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(ours(x)[0], want, atol=1e-11, rtol=1e-9, check_stride=False)


@pytest.mark.parametrize(("kernel_size", "dilation", "levels"), [(3, 1, 2), (2, 3, 1), (3, 1, 4)])
def test_sees_its_window_and_not_one_step_more(kernel_size: int, dilation: int, levels: int) -> None:
    torch.manual_seed(0)
    cell = Conv(2, 3, kernel_size=kernel_size, dilation=dilation, levels=levels).double()
    with torch.no_grad():
        for parameter in cell.parameters():  # all positive: no unit is off
            parameter.abs_()
    assert cell.window == 1 + 2 * (kernel_size - 1) * dilation * (2**levels - 1)
    x = torch.rand(1, 150, 2).double()
    for back, seen in ((cell.window - 1, True), (cell.window, False)):
        other = x.clone()
        other[:, 149 - back] += 1.0
        assert bool((cell(other)[0][0, -1] != cell(x)[0][0, -1]).any()) is seen


def test_weights_start_at_their_direction() -> None:
    """The length starts as that of the direction: the weight is N(0, 0.01²), as in the authors' code."""
    torch.manual_seed(0)
    layer = Conv(30, 40)._layers[0]
    direction, length = layer.direction.detach(), layer.length.detach()
    torch.testing.assert_close(length, direction.flatten(1).norm(dim=1))
    assert direction.std().item() == pytest.approx(0.01, rel=0.05)
