"""The temporal convolutional network of Bai, Kolter and Koltun 2018: no loop, but a window of the past.

Residual blocks b = 0 … `levels` - 1, the dilation d = `dilation` · 2^b doubling from one to the next:

    conv(x)_t = bias + Σ_k W_k x_{t - (K-1-k) d},   k from 0 to K-1; K = `kernel_size`
    z         = relu(conv_2(relu(conv_1(x))))
    y         = relu(z + x), or relu(z + W x + b) where the sizes differ

The weights are direction and length apart (Salimans and Kingma 2016), as in the paper. Dropout stands between
the layers of a backbone, not in here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.checks import at_least
from statewise.ops.linear import linear
from statewise.ops.window import last_inputs
from statewise.recurrence import Recurrence, check_sequence, zero_padding


class ConvState(NamedTuple):
    """The last inputs of every convolution, in the order in which they run."""

    inputs: tuple[Tensor, ...]  # [B, (K - 1) · dilation, channels] each, oldest first


class Conv(Recurrence):
    """A temporal convolutional network: x [B, T, I] to [B, T, H].

    It sees exactly 1 + 2 (K - 1) · dilation · (2^levels - 1) steps, `self.window`, and forgets all before.
    Raises ShapeError, ConfigError.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        kernel_size: int = 3,
        dilation: int = 1,
        levels: int = 4,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        at_least(kernel_size, 1, "kernel_size")
        at_least(dilation, 1, "dilation")
        sizes = [input_size] + [hidden_size] * (2 * at_least(levels, 1, "levels") - 1)
        self.layers = nn.ModuleList(
            _CausalConv(size, hidden_size, kernel_size, dilation * 2 ** (index // 2))
            for index, size in enumerate(sizes)
        )
        self._layers = [layer for layer in self.layers if isinstance(layer, _CausalConv)]
        self.window = 1 + sum(layer.past for layer in self._layers)
        self.around = nn.Linear(input_size, hidden_size) if input_size != hidden_size else None
        if self.around is not None:
            nn.init.normal_(self.around.weight, std=0.01)

    def initial_state(self, batch: int) -> ConvState:
        """Zeros before the first input."""
        like = self._layers[0].bias
        return ConvState(tuple(like.new_zeros(batch, layer.past, layer.channels) for layer in self._layers))

    def step(self, x: Tensor, state: ConvState) -> tuple[Tensor, ConvState]:
        """One observation [B, I] to [B, H]."""
        y, after = self._run(x.unsqueeze(1), state, None)
        return y.squeeze(1), after

    def forward(
        self, x: Tensor, state: ConvState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, ConvState]:
        """A sequence [B, T, I] to [B, T, H]."""
        check_sequence(x, lengths, self.input_size, "conv")
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], self.hidden_size), state
        y, after = self._run(zero_padding(x, lengths), state, lengths)
        return zero_padding(y, lengths), after

    def _run(self, x: Tensor, state: ConvState, lengths: Tensor | None) -> tuple[Tensor, ConvState]:
        after = []
        for level in range(0, len(self._layers), 2):
            z = x
            for layer, before in zip(
                self._layers[level : level + 2], state.inputs[level : level + 2], strict=True
            ):
                line = torch.cat((before, z), dim=1)
                after.append(last_inputs(line, layer.past, lengths))
                z = layer(line).relu()
            around = x if level or self.around is None else self._around(x)
            x = (z + around).relu()
        return x, ConvState(tuple(after))

    def _around(self, x: Tensor) -> Tensor:
        assert self.around is not None
        y: Tensor = self.around(x)
        return y.to(x.dtype)


class _CausalConv(nn.Module):
    """One dilated convolution over a line [B, past + T, I] to [B, T, H], weights normalised."""

    def __init__(self, channels: int, hidden_size: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.channels, self.dilation = channels, dilation
        self.past = (kernel_size - 1) * dilation
        bound = (channels * kernel_size) ** -0.5
        self.direction = nn.Parameter(0.01 * torch.randn(hidden_size, channels, kernel_size))
        self.length = nn.Parameter(_norm(self.direction.detach()).flatten())
        self.bias = nn.Parameter(torch.empty(hidden_size).uniform_(-bound, bound))

    def forward(self, line: Tensor) -> Tensor:
        weight = self.direction * (self.length.view(-1, 1, 1) / _norm(self.direction))
        if line.shape[1] == self.past + 1:  # one step: a product, which no convolution kernel beats
            window = line[:, :: self.dilation].transpose(1, 2)
            return linear(window.flatten(1), weight.flatten(1), self.bias).unsqueeze(1).to(line.dtype)
        y = functional.conv1d(line.transpose(1, 2), weight, self.bias, dilation=self.dilation)
        return y.transpose(1, 2).to(line.dtype)


def _norm(weight: Tensor) -> Tensor:
    """The length of each output's weights, [H, 1, 1]."""
    return weight.square().sum(dim=(1, 2), keepdim=True).sqrt()
