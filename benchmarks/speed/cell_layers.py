"""One layer of every cell over a long sequence, forward and backward, beside a transformer's block.

python -m benchmarks.speed.cell_layers
"""

from __future__ import annotations

import torch
from benchmarks.recording import Row, arguments, write
from benchmarks.timing import medians
from torch import Tensor, nn
from torch.nn import functional

from statewise.cells.table import CELLS
from statewise.core.heap import keep_freed_memory
from statewise.ops.native import without_native

WIDTH, TIME, QUICK_TIME, HEADS = 256, 4096, 256, 4
TURNS = 5
PROTOCOL = """
One layer of every cell, input and hidden size {width}, options at their defaults, T = {time:,}, batch 1,
float32, {threads} threads; forward and the sum of outputs backward to the input and all weights. Beside it
the same layer with the compiled kernels off, and a transformer block in plain PyTorch (pre-norm, {heads}
heads, scaled_dot_product_attention, 4 x MLP). Freed memory is kept (mallopt) for all. In turns, medians of
{turns}; a layer that takes over 2 s without kernels is timed once."""


class TransformerBlock(nn.Module):
    """The block of Vaswani et al. 2017, pre-norm, causal."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        batch, time, width = x.shape
        parts = self.qkv(self.first(x)).view(batch, time, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, time, width))
        y: Tensor = x + self.mlp(self.second(x))
        return y


def main() -> None:
    options = arguments(__doc__).parse_args()
    keep_freed_memory()
    time = QUICK_TIME if options.quick else TIME
    torch.manual_seed(0)
    x = torch.randn(1, time, WIDTH, requires_grad=True)
    block = TransformerBlock(WIDTH, HEADS)
    transformer = medians({"block": lambda: backward(block(x))}, 2 if options.quick else TURNS)["block"]
    found = {name: layer(name, x, options.quick) for name in CELLS}
    below = [name for name, times in found.items() if times["native"] < transformer]
    names = sorted(found, key=lambda name: found[name]["native"])
    text = ", ".join(f"{name} {found[name]['native']:.0f}" for name in names)
    rows = [
        Row(
            "cell_layers",
            f"One layer of every cell, d = {WIDTH}, T = {time:,}, forward + backward, ms",
            "measured, beside a transformer block",
            f"{text}; transformer block {transformer:.0f}",
            True,
            {"layers": found, "transformer_block": transformer, "below_it": below},
        )
    ]
    protocol = PROTOCOL.format(
        width=WIDTH, time=time, threads=torch.get_num_threads(), heads=HEADS, turns=TURNS
    )
    write("speed.cell_layers", rows, protocol, {"width": WIDTH, "time": time}, options.quick)


def layer(name: str, x: Tensor, quick: bool) -> dict[str, float]:
    """Milliseconds with and without the compiled kernels."""
    cell = CELLS[name].make(WIDTH, WIDTH)

    def plain() -> None:
        with without_native():
            backward(cell(x)[0])

    calls = {"native": lambda: backward(cell(x)[0])}
    slow = medians({"plain": plain}, 1, burst=0.0)["plain"]
    found = {
        "plain": slow,
        **medians(calls if slow > 2_000 else calls | {"plain": plain}, 2 if quick else TURNS),
    }
    print(f"{name}: {found['native']:.1f} ms, without kernels {found['plain']:.1f}", flush=True)
    return found


def backward(y: Tensor) -> None:
    y.sum().backward()


if __name__ == "__main__":
    main()
