"""Exact backpropagation through time in little memory: an LSTM over 4,000 and over 64,000 steps.

python -m benchmarks.speed.bptt_memory
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from benchmarks.recording import Row, arguments, write
from torch import Tensor, nn

from statewise.cells.lstm import LSTM
from statewise.nn.checkpointed_loss import CheckpointedLoss

BATCH, SIZE = 16, 256
SHORT, LONG = 4_000, 64_000
MEMORY = {SHORT: "16 MB", LONG: "100 MB"}  # asked for; what is taken is measured
LESS, EXTRA_MB, SLOWER, EQUAL = 0.80, 1000.0, 1.25, 1e-6
TURNS = 3
ROOM = 0.6  # of the memory that is free, for the longest sequence whose full backpropagation is tried
QUICK = {SHORT: 400, LONG: 1_600}

PROTOCOL = """
One LSTM layer, batch {batch}, {size} inputs, {size} units, float32, {threads} threads; the loss is the sum of
squares of all outputs, the gradients are those of all weights. Memory: the peak of resident memory (VmHWM,
reset through /proc/self/clear_refs) of one forward and backward pass over what was resident before it, in a
fresh process for each variant, its inputs made and a pass of 64 steps done before. The C library's malloc
is left at its defaults (MALLOC_* settings: {malloc}). Variants: torch.nn.LSTM; ours, plain
(statewise.cells.lstm.LSTM); ours in runs (CheckpointedLoss, memory={short} and {long}). Times: ours in runs
and ours plain in one process, in turns, {turns} each, medians, at the longest of {long_steps:,} steps and its
halves at which the plain pass fits {room:.0%} of the free memory. Gradients: largest difference of any, as a
share of the largest gradient, at {short_steps:,} steps; float64 is ours in runs, all in float64."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument(
        "--variant", choices=[*VARIANTS], help="measure one alone, as the command itself does"
    )
    parser.add_argument("--time", type=int, default=SHORT, help="its steps")
    options = parser.parse_args()
    if options.variant:
        print(json.dumps({"peak_mb": peak_mb(options.variant, options.time)}))
        return
    short, long = (QUICK[SHORT], QUICK[LONG]) if options.quick else (SHORT, LONG)
    peaks = {variant: alone(variant, short) for variant in VARIANTS}
    print(f"peaks at {short:,} steps, MB: {peaks}")
    far = alone("runs", long)
    print(f"peak at {long:,} steps in runs, MB: {far:.0f}")
    fits = longest(long, peaks["plain"] / short)
    times = seconds(fits, 1 if options.quick else TURNS)
    print(f"seconds at {fits:,} steps: {times}")
    equal = differences(short)
    print(f"gradients: {equal}")
    figures = {
        "peak_mb": peaks,
        "peak_mb_long": far,
        "seconds": times,
        "seconds_at_steps": fits,
        "gradients": equal,
        "available_mb": available_mb(),
    }
    rows = [short_row(short, peaks, equal, figures), long_row(long, far, fits, times, figures)]
    settings = {"memory": {str(steps): memory for steps, memory in MEMORY.items()}}
    write("speed.bptt_memory", rows, protocol(), settings, options.quick)


def protocol() -> str:
    return PROTOCOL.format(
        batch=BATCH,
        size=SIZE,
        threads=torch.get_num_threads(),
        malloc={name: value for name, value in os.environ.items() if name.startswith("MALLOC_")} or "none",
        short=MEMORY[SHORT],
        long=MEMORY[LONG],
        turns=TURNS,
        long_steps=LONG,
        short_steps=SHORT,
        room=ROOM,
    )


def inputs(time: int) -> Tensor:
    """x [B, T, I], filled in pieces, so that making it leaves no larger peak."""
    torch.manual_seed(0)
    x = torch.empty(BATCH, time, SIZE)
    for row in x:
        row.normal_()
    return x


def squares(y: Tensor, _: Any) -> Tensor:
    return (y * y).sum()


def plain(time: int, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Ours, the whole sequence at once."""
    torch.manual_seed(1)
    cell = LSTM(SIZE, SIZE).to(dtype)
    return cell, lambda x: squares(cell(x)[0], None)


def runs(time: int, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """Ours, in runs."""
    torch.manual_seed(1)
    loss = CheckpointedLoss(LSTM(SIZE, SIZE).to(dtype), squares, MEMORY[SHORT if time <= SHORT else LONG])
    return loss, lambda x: loss(x, x[..., :0])[0]


def torch_lstm(time: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The peer."""
    torch.manual_seed(1)
    peer = nn.LSTM(SIZE, SIZE, batch_first=True)
    return peer, lambda x: squares(peer(x)[0], None)


VARIANTS: dict[str, Callable[[int], tuple[nn.Module, Callable[[Tensor], Tensor]]]] = {
    "torch": torch_lstm,
    "plain": plain,
    "runs": runs,
}


def peak_mb(variant: str, time: int) -> float:
    """Megabytes that one pass of `variant` takes at its peak, in this process."""
    module, loss = VARIANTS[variant](time)
    x = inputs(time)
    loss(x[:, :64]).backward()
    module.zero_grad()
    before = status_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    loss(x).backward()
    return status_mb("VmHWM") - before


def alone(variant: str, time: int) -> float:
    """`peak_mb` in a fresh process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.speed.bptt_memory",
        "--variant",
        variant,
        "--time",
        str(time),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])["peak_mb"])


def longest(time: int, mb_per_step: float) -> int:
    """`time` or a half, quarter … of it, at which the plain pass fits."""
    while time > SHORT and time * mb_per_step > ROOM * available_mb():
        time //= 2
    return time


def seconds(time: int, turns: int) -> dict[str, list[float]]:
    """Seconds of each turn of both ways."""
    x = inputs(time)
    ways = {"plain": plain(time), "runs": runs(LONG)}
    for _, loss in ways.values():
        loss(x[:, :512]).backward()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, (module, loss) in ways.items():
            module.zero_grad()
            begin = perf_counter()
            loss(x).backward()
            found[name].append(perf_counter() - begin)
    return found


def differences(time: int) -> dict[str, float]:
    """Largest differences of a gradient between the ways, over the largest gradient."""
    exact = gradients(runs, time, torch.float64)
    whole, pieces = gradients(plain, time, torch.float32), gradients(runs, time, torch.float32)
    return {
        "runs and plain": difference(pieces, whole),
        "runs and float64": difference(pieces, exact),
        "plain and float64": difference(whole, exact),
    }


def gradients(make: Callable[..., Any], time: int, dtype: torch.dtype) -> list[Tensor]:
    """Of all weights, from inputs that are the same numbers in every precision."""
    module, loss = make(time, dtype)
    loss(inputs(time).to(dtype)).backward()
    return [weight.grad for weight in module.parameters()]


def difference(found: list[Tensor], want: list[Tensor]) -> float:
    """The largest difference, over the largest number of `want`."""
    largest = max(float(gradient.abs().max()) for gradient in want)
    return max(float((a - b).abs().max()) for a, b in zip(found, want, strict=True)) / largest


def status_mb(field: str) -> float:
    """A line of /proc/self/status."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024 / 1e6


def available_mb() -> float:
    """Memory that is free on this machine."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    line = next(line for line in text.splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024 / 1e6


def short_row(time: int, peaks: dict[str, float], equal: dict[str, float], figures: dict[str, Any]) -> Row:
    less = 1 - peaks["runs"] / peaks["torch"]
    return Row(
        "bptt_memory",
        f"Memory of exact backpropagation, LSTM, {time:,} steps, batch {BATCH}, hidden {SIZE}",
        f"≥ {LESS:.0%} less than nn.LSTM, gradients equal to {EQUAL:g}",
        f"nn.LSTM {peaks['torch']:.0f} MB, ours {peaks['plain']:.0f} MB, in runs {peaks['runs']:.0f} MB "
        f"({less:.1%} less); gradients differ by {equal['runs and plain']:.1g}, from float64's by "
        f"{equal['runs and float64']:.1g} (plain {equal['plain and float64']:.1g})",
        less >= LESS and equal["runs and plain"] <= EQUAL,
        figures,
    )


def long_row(time: int, far: float, fits: int, times: dict[str, list[float]], figures: dict[str, Any]) -> Row:
    ratio = median(times["runs"]) / median(times["plain"])
    return Row(
        "bptt_memory_long",
        f"Memory of exact backpropagation, LSTM, {time:,} steps, batch {BATCH}, hidden {SIZE}",
        f"≤ {EXTRA_MB:,.0f} MB extra, ≤ {SLOWER} × the time of the full pass",
        f"{far:.0f} MB; {ratio:.2f} × the full pass at {fits:,} steps "
        f"({median(times['runs']):.2f} s, {median(times['plain']):.2f} s)",
        far <= EXTRA_MB and ratio <= SLOWER,
        figures,
    )


if __name__ == "__main__":
    main()
