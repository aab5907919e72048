"""One layer of every cell over a long sequence, forward and backward, beside a transformer's block.

python -m benchmarks.speed.cell_layers
"""

from __future__ import annotations

import torch
from benchmarks.layers import TransformerBlock, training
from benchmarks.recording import Row, arguments, write
from benchmarks.timing import medians

from statewise.cells.table import CELLS
from statewise.core.heap import keep_freed_memory
from statewise.ops.native import without_native

WIDTH, TIME, QUICK_TIME, HEADS = 256, 4096, 256, 4
TURNS = 5
PROTOCOL = """
One layer of every cell, input and hidden size {width}, options at their defaults, T = {time:,}, batch 1,
float32, {threads} threads; forward, outputs times a fixed random weighing, backward to the input and all
weights. Beside it the same layer with the compiled kernels off, and a transformer block in plain PyTorch
(pre-norm, {heads} heads, scaled_dot_product_attention, 4 x MLP). Freed memory is kept for all. In turns,
medians of {turns}; a layer that takes over 2 s without kernels is timed once."""


def main() -> None:
    options = arguments(__doc__).parse_args()
    keep_freed_memory()
    time = QUICK_TIME if options.quick else TIME
    torch.manual_seed(0)
    block = training(TransformerBlock(WIDTH, HEADS), 1, time, WIDTH)
    transformer = medians({"block": block}, 2 if options.quick else TURNS)["block"]
    found = {name: layer(name, time, options.quick) for name in CELLS}
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


def layer(name: str, time: int, quick: bool) -> dict[str, float]:
    """Milliseconds with and without the compiled kernels."""
    native = training(CELLS[name].make(WIDTH, WIDTH), 1, time, WIDTH)

    def plain() -> None:
        with without_native():
            native()

    calls = {"native": native}
    slow = medians({"plain": plain}, 1, burst=0.0)["plain"]
    found = {
        "plain": slow,
        **medians(calls if slow > 2_000 else calls | {"plain": plain}, 2 if quick else TURNS),
    }
    print(f"{name}: {found['native']:.1f} ms, without kernels {found['plain']:.1f}", flush=True)
    return found


if __name__ == "__main__":
    main()
