"""Training speed of a minGRU layer on the CPU, beside nn.GRU, nn.LSTM and minGRU-pytorch.

    python -m benchmarks.speed.min_gru

The last peer is `minGRU-pytorch` (benchmarks/peers.txt); without it the others are compared.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.layers import training
from benchmarks.recording import Row, arguments, installed, write
from benchmarks.timing import BURST, medians
from torch import nn

from statewise.cells.mingru import MinGRU
from statewise.core.heap import keep_freed_memory

ROWS, WIDTH = 8, 256
LENGTHS = (512, 4096)
BAR = 15.0

PROTOCOL = """Forward, outputs times a fixed random weighing, backward to the input and all parameters;
float32, two threads, batch 8, 256 inputs and hidden units; all contestants in turn, bursts of calls, medians
over the turns. The C library is told to keep freed memory, for the peers too."""


def main() -> None:
    """Measure and write."""
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(2)
    keep_freed_memory()
    turns = 3 if options.quick else 9
    rows = [row(time, turns) for time in LENGTHS[: 1 if options.quick else 2]]
    config = {"turns": turns, "burst_s": BURST, "minGRU-pytorch": installed("minGRU-pytorch")}
    write("speed.min_gru", rows, PROTOCOL, config, options.quick)


def row(time: int, turns: int) -> Row:
    """One length, all contestants."""
    found = medians(
        {name: training(make(), ROWS, time, WIDTH) for name, make in contestants().items()}, turns
    )
    ratios = {name: value / found["statewise"] for name, value in found.items()}
    texts = [f"{name} {found[name]:.0f} ms, {ratios[name]:.1f}×" for name in found if name != "statewise"]
    return Row(
        f"min_gru_{time}",
        f"minGRU layer B{ROWS} D{WIDTH} T{time}, forward and backward",
        f"≥ {BAR:g}× nn.GRU",
        f"{found['statewise']:.2f} ms ({'; '.join(texts)})",
        ratios["nn.GRU"] >= BAR,
        {**found, **{f"{name}_ratio": ratio for name, ratio in ratios.items()}},
    )


def contestants() -> dict[str, Callable[[], nn.Module]]:
    """The layers that are compared; the last only where it is installed."""
    found: dict[str, Callable[[], nn.Module]] = {
        "statewise": lambda: MinGRU(WIDTH, WIDTH),
        "nn.GRU": lambda: nn.GRU(WIDTH, WIDTH, batch_first=True),
        "nn.LSTM": lambda: nn.LSTM(WIDTH, WIDTH, batch_first=True),
    }
    if installed("minGRU-pytorch"):
        from minGRU_pytorch.minGRU import minGRU

        found["minGRU-pytorch"] = lambda: minGRU(WIDTH)
    return found


if __name__ == "__main__":
    main()
