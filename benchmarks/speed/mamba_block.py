"""Training speed of a Mamba block against length on the CPU, beside mamba.py's block and a transformer block.

    python -m benchmarks.speed.mamba_block

The peer is `mambapy` (benchmarks/peers.txt).
"""

from __future__ import annotations

from time import perf_counter

import torch
from benchmarks.layers import TransformerBlock, training
from benchmarks.recording import Row, arguments, installed, need, write
from benchmarks.timing import BURST, medians

from statewise.cells.mamba import Mamba
from statewise.core.heap import keep_freed_memory

WIDTH, HEADS = 256, 4
MAIN, LONG, SHORT = 4096, 32768, (128, 512, 1024)

PROTOCOL = """
Forward, outputs times a fixed random weighing, backward to the input and all parameters; float32,
two threads, batch 1, width 256; all contestants of a length in turn, bursts of calls, medians over
the turns (at T = 32,768 one run of the transformer block after the others). Mamba: expand 2, N 16,
convolution 4. Transformer block: layer norm, causal scaled_dot_product_attention of 4 heads of 64,
layer norm, GELU network 4 times as wide, residuals; torch's own products. The C library is told to
keep freed memory, for all."""


def main() -> None:
    """Measure and write."""
    options = arguments(__doc__).parse_args()
    need("mambapy", "mamba_block")
    torch.set_num_threads(2)
    keep_freed_memory()
    turns = 3 if options.quick else 7
    rows = [main_row(turns), length_row(turns, not options.quick)]
    config = {"turns": turns, "burst_s": BURST, "mambapy": installed("mambapy")}
    write("speed.mamba_block", rows, PROTOCOL, config, options.quick)


def main_row(turns: int) -> Row:
    """The three blocks at the main length."""
    from mambapy.mamba import MambaBlock, MambaConfig

    blocks = {"statewise": Mamba(WIDTH, WIDTH), "mambapy": MambaBlock(MambaConfig(WIDTH, 1))}
    blocks["transformer"] = TransformerBlock(WIDTH, HEADS)
    found = medians({name: training(block, 1, MAIN, WIDTH) for name, block in blocks.items()}, turns)
    ours = found["statewise"]
    peer, transformer = found["mambapy"] / ours, found["transformer"] / ours
    return Row(
        "mamba_block",
        f"Mamba block of width {WIDTH}, T = {MAIN}, forward and backward",
        "≤ 48 ms, ≥ 6× mamba.py's block, ≥ 5.5× a transformer block",
        f"{ours:.1f} ms, {peer:.1f}× ({found['mambapy']:.0f} ms), "
        f"{transformer:.1f}× ({found['transformer']:.0f} ms)",
        ours <= 48 and peer >= 6 and transformer >= 5.5,
        {**found, "peer_ratio": peer, "transformer_ratio": transformer},
    )


def length_row(turns: int, long: bool) -> Row:
    """Mamba and transformer block at short and at long sequences."""
    found = {}
    for time in SHORT:
        blocks = {"mamba": Mamba(WIDTH, WIDTH), "transformer": TransformerBlock(WIDTH, HEADS)}
        found[time] = medians(
            {name: training(block, 1, time, WIDTH) for name, block in blocks.items()}, turns
        )
    if long:
        mamba = medians({"mamba": training(Mamba(WIDTH, WIDTH), 1, LONG, WIDTH)}, 3)
        begin = perf_counter()
        training(TransformerBlock(WIDTH, HEADS), 1, LONG, WIDTH)()
        found[LONG] = {**mamba, "transformer": 1e3 * (perf_counter() - begin)}
    ratios = {time: times["transformer"] / times["mamba"] for time, times in found.items()}
    return Row(
        "mamba_block_lengths",
        f"Transformer block's time over that of the Mamba block, T = {', '.join(map(str, ratios))}",
        f"> 1× at every T ≥ 128, ≥ 20× at {LONG:,}",
        ", ".join(f"{ratio:.2f}×" for ratio in ratios.values()),
        min(ratios.values()) > 1 and ratios.get(LONG, 20.0) >= 20,
        {str(time): {**times, "ratio": ratios[time]} for time, times in found.items()},
    )


if __name__ == "__main__":
    main()
