"""What benchmarks of layers share: one training step as a call, and the transformer's block beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class TransformerBlock(nn.Module):
    """x [B, T, width] to the same: attention and a feed-forward network, each normed first and added."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projection, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.projection(self.before(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).flatten(2))
        wide: Tensor = self.narrow(functional.gelu(self.wide(self.between(x))))
        return x + wide


def training(layer: nn.Module, rows: int, time: int, width: int) -> Callable[[], Any]:
    """Forward and backward of `layer` over one fixed random input [rows, time, width] as a call.

    The outputs are weighed at random; gradients reach the input and all parameters, anew at every call.
    """
    generator = torch.Generator().manual_seed(0)
    x, weighing = (torch.randn(rows, time, width, generator=generator) for _ in range(2))
    x.requires_grad_()

    def run() -> None:
        layer.zero_grad(set_to_none=True)
        x.grad = None
        outputs = layer(x)
        outputs = outputs[0] if isinstance(outputs, tuple) else outputs
        outputs.backward(weighing)

    return run
