"""What fresh pages cost: training on long sequences with the C library's default, and with freed memory kept.

python -m benchmarks.speed.freed_memory
"""

from __future__ import annotations

import json
import subprocess
import sys
from statistics import median

from benchmarks.recording import Row, arguments, write

PROCESSES = 5
PROGRAM = """
import json, sys, torch
from benchmarks.layers import training
from benchmarks.timing import medians
from statewise.core.heap import keep_freed_memory
from statewise.ops.linear_scan import linear_scan

if sys.argv[1] == "kept" and not keep_freed_memory():
    raise SystemExit("freed_memory: the C library has no mallopt.")
torch.set_num_threads(2)
torch.manual_seed(0)
a, b = (torch.rand(8, 4096, 256, requires_grad=True) for _ in range(2))
initial, weighing = torch.zeros(8, 256), torch.randn(8, 4096, 256)
calls = {
    "nn.LSTM": training(torch.nn.LSTM(256, 256, batch_first=True), 32, 512, 256),
    "linear scan": lambda: torch.autograd.grad(linear_scan(a, b, initial), (a, b), weighing),
}
print(json.dumps(medians(calls, turns=5)))
"""
PROTOCOL = """
Forward and backward, two threads, float32: torch.nn.LSTM (32 rows, 512 steps, 256 inputs and units) and
statewise's linear scan (8 rows, 4,096 steps, 256 channels). {processes} fresh processes with glibc's default
and as many after sw.keep_freed_memory(), in turns; medians within a process, then over processes."""


def main() -> None:
    options = arguments(__doc__).parse_args()
    processes = 1 if options.quick else PROCESSES
    runs: dict[str, list[dict[str, float]]] = {"default": [], "kept": []}
    for _ in range(processes):
        for how, held in runs.items():
            held.append(measured(how))
    middle = {
        how: {call: median(run[call] for run in held) for call in held[0]} for how, held in runs.items()
    }
    texts = [
        f"{call} {middle['default'][call]:.1f} ms, kept {middle['kept'][call]:.1f} ms"
        for call in middle["kept"]
    ]
    row = Row(
        "freed_memory",
        "Long sequences, forward + backward, with freed memory given back (default) and kept",
        "measured",
        "; ".join(texts),
        True,
        {"medians": middle, "runs": runs},
    )
    write("speed.freed_memory", [row], PROTOCOL.format(processes=processes), {}, options.quick)


def measured(how: str) -> dict[str, float]:
    """Milliseconds of each call in a fresh process."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


if __name__ == "__main__":
    main()
