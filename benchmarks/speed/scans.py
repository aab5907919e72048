"""Speed, memory and exactness of the linear and the selective scan, beside mamba.py's.

    python -m benchmarks.speed.scans

The peer is `mambapy` 1.2.0 (pip install mambapy), used nowhere else.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from benchmarks.recording import Row, arguments, installed, write
from benchmarks.timing import BURST, medians
from torch import Tensor

from statewise.core.heap import keep_freed_memory
from statewise.ops.linear_scan import linear_scan
from statewise.ops.native import without_native
from statewise.ops.selective_scan import selective_scan

Run = Callable[[], Any]
LINEAR, SELECTIVE = (8, 4096, 256), (1, 16384, 256, 16)  # B, T, D and N
MILLION, SHORT = 1 << 20, 1 << 16
MEMORY_HELP = "only print by how many MB one forward and backward grows the peak resident size"

PROTOCOL = """float32 on two threads, through autograd, gradients of all inputs; all contestants of a row in
turn, bursts of calls, medians over the turns. The C library is told to keep freed memory, for the peers too.
Triad: torch.add(x, y, alpha=2, out=z) over arrays of the same size, 12 bytes an element (torch stores through
the caches), measured in the same turns. Memory: growth of the peak resident size over one forward and
backward in a process of its own. Peer: mambapy's pscan, and its selective_scan, which is given Δ after its
softplus."""


def main() -> None:
    """Measure all rows and write them."""
    parser = arguments(__doc__)
    parser.add_argument("--memory", choices=["statewise", "mambapy", "million"], help=MEMORY_HELP)
    options = parser.parse_args()
    torch.set_num_threads(2)
    if options.memory:
        print(grown(options.memory))
        return
    keep_freed_memory()
    turns = 3 if options.quick else 7
    rows = [linear_row(turns), fallback_row("linear", turns), exact_row(), selective_row(turns)]
    rows += [fallback_row("selective", 3), million_row(options.quick)]
    config = {"turns": turns, "burst_s": BURST, "mambapy": installed("mambapy")}
    write("speed.scans", rows, PROTOCOL, config, options.quick)


def linear_leaves(batch: int, time: int, width: int) -> tuple[list[Tensor], Tensor]:
    """a, b with gradients, and what is handed to backward."""
    generator = torch.Generator().manual_seed(0)
    a, b, grad = (torch.rand(batch, time, width, generator=generator) for _ in range(3))
    return [a.requires_grad_(), b.requires_grad_()], grad


def selective_leaves(batch: int, time: int, width: int, states: int) -> tuple[list[Tensor], Tensor]:
    """u, delta, A, B, C, D with gradients, and what is handed to backward."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    A = -torch.arange(1.0, states + 1).repeat(width, 1)
    u, delta, grad = (normal(batch, time, width) for _ in range(3))
    B, C, D = normal(batch, time, states), normal(batch, time, states), normal(width)
    return [leaf.requires_grad_() for leaf in (u, delta.sub_(3), A, B, C, D)], grad


def trained(scan: Callable[..., Tensor], leaves: list[Tensor], grad: Tensor) -> Run:
    """One forward and backward as a call."""

    def run() -> None:
        for leaf in leaves:
            leaf.grad = None
        scan(*leaves).backward(grad)

    return run


def forward(scan: Callable[..., Tensor], leaves: list[Tensor]) -> Run:
    """One forward without gradients as a call."""

    def run() -> None:
        with torch.no_grad():
            scan(*leaves)

    return run


def our_linear(a: Tensor, b: Tensor) -> Tensor:
    return linear_scan(a, b, torch.zeros_like(b[:, 0]))


def their_linear(a: Tensor, b: Tensor) -> Tensor:
    from mambapy.pscan import pscan

    found: Tensor = pscan(a.unsqueeze(-1), b.unsqueeze(-1)).squeeze(-1)
    return found


def our_selective(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    start = u.new_zeros(u.shape[0], *A.shape)
    return selective_scan(u, delta, A, B, C, D, start)[0]


def their_selective(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    from mambapy.mamba import MambaBlock

    step = torch.nn.functional.softplus(delta)
    found: Tensor = MambaBlock.selective_scan(None, u, step, A, B, C, D)
    return found


def linear_row(turns: int) -> Row:
    """The linear scan beside the peer and beside what memory allows."""
    leaves, grad = linear_leaves(*LINEAR)
    spare = torch.empty_like(grad)
    runs: dict[str, Run] = {
        "forward": forward(our_linear, leaves),
        "both": trained(our_linear, leaves, grad),
        "triad": lambda: torch.add(leaves[0].detach(), grad, alpha=2, out=spare),
        "peer_forward": forward(their_linear, leaves),
        "peer_both": trained(their_linear, leaves, grad),
    }
    found = medians(runs, turns)
    size = grad.numel() * 4 / 1e6  # MB; GB/s = MB / ms
    figures = {
        **{f"{name}_ms": value for name, value in found.items()},
        "triad_gb_s": 3 * size / found["triad"],
        "forward_gb_s": 3 * size / found["forward"],
        "both_gb_s": 8 * size / found["both"],
        "forward_ratio": found["peer_forward"] / found["forward"],
        "both_ratio": found["peer_both"] / found["both"],
    }
    share = min(figures["forward_gb_s"], figures["both_gb_s"]) / figures["triad_gb_s"]
    fast = found["forward"] <= 0.9 and found["both"] <= 2.6
    ahead = figures["forward_ratio"] >= 8 and figures["both_ratio"] >= 10
    return Row(
        "linear_scan",
        "Linear scan B8 T4096 D256, forward / forward and backward",
        "≤ 0.9 / 2.6 ms, ≥ 80 % of the triad, ≥ 8× / 10× mamba.py",
        f"{found['forward']:.2f} / {found['both']:.2f} ms, {share:.0%} of {figures['triad_gb_s']:.0f} GB/s, "
        f"{figures['forward_ratio']:.1f}× / {figures['both_ratio']:.1f}×",
        fast and ahead and share >= 0.8,
        {**figures, "triad_share": share},
    )


def exact_row() -> Row:
    """The largest error against float64 over a long sequence."""
    a, b = (leaf.detach() for leaf in linear_leaves(1, 65536, 64)[0])
    a = 0.9 + 0.1 * a  # long memories, where errors would pile up
    exact = our_linear(a.double(), b.double())
    error = float((our_linear(a, b) - exact).abs().max() / exact.abs().max())
    what = "Linear scan, largest error against float64 over the largest value, T = 65,536"
    return Row("linear_scan_error", what, "≤ 1e-6", f"{error:.1e}", error <= 1e-6, {"error": error})


def selective_row(turns: int) -> Row:
    """The selective scan beside the peer, time and memory."""
    leaves, grad = selective_leaves(*SELECTIVE)
    runs = {
        "forward": forward(our_selective, leaves),
        "both": trained(our_selective, leaves, grad),
        "peer_forward": forward(their_selective, leaves),
        "peer_both": trained(their_selective, leaves, grad),
    }
    found = medians(runs, turns)
    memory = {name: megabytes(name) for name in ("statewise", "mambapy")}
    ratio, saving = found["peer_both"] / found["both"], memory["mambapy"] / memory["statewise"]
    met = found["both"] <= 16 and memory["statewise"] <= 160 and ratio >= 25 and saving >= 28
    return Row(
        "selective_scan",
        "Selective scan B1 T16384 D256 N16, forward and backward",
        "≤ 16 ms, ≤ 160 MB, ≥ 25× and ≥ 28× less memory than mamba.py",
        f"{found['both']:.1f} ms (forward {found['forward']:.1f}), {memory['statewise']:.0f} MB, "
        f"{ratio:.1f}× ({found['peer_both']:.0f} ms), {saving:.1f}× ({memory['mambapy']:.0f} MB)",
        met,
        {**{f"{name}_ms": v for name, v in found.items()}, **{f"{name}_mb": v for name, v in memory.items()}},
    )


def fallback_row(name: str, turns: int) -> Row:
    """The forms in plain PyTorch beside the peer."""
    ours, theirs = (our_linear, their_linear) if name == "linear" else (our_selective, their_selective)
    leaves, grad = linear_leaves(*LINEAR) if name == "linear" else selective_leaves(1, 4096, 256, 16)
    both = trained(ours, leaves, grad)

    def plain() -> None:
        with without_native():
            both()

    found = medians({"both": plain, "peer_both": trained(theirs, leaves, grad)}, turns)
    bar, ratio = 2.0 if name == "linear" else 0.9, found["peer_both"] / found["both"]
    return Row(
        f"{name}_scan_plain",
        f"{name.capitalize()} scan without the extension, T = 4096, forward and backward",
        f"≥ {bar}× mamba.py",
        f"{ratio:.2f}× ({found['both']:.1f} and {found['peer_both']:.1f} ms)",
        ratio >= bar,
        {**found, "ratio": ratio},
    )


def million_row(quick: bool) -> Row:
    """A million tokens through the selective scan in one go."""
    long, short = (SHORT, SHORT // 4) if quick else (MILLION, SHORT)
    seconds = {}
    for time in (short, long):
        leaves, grad = selective_leaves(1, time, *SELECTIVE[2:])
        run = trained(our_selective, leaves, grad)
        run()
        times = []
        for _ in range(5 if time == short else 3):
            begin = perf_counter()
            run()
            times.append(perf_counter() - begin)
        seconds[time] = sorted(times)[len(times) // 2]
    flat = (long / seconds[long]) / (short / seconds[short])
    memory = 0.0 if quick else megabytes("million") / 1e3
    return Row(
        "selective_scan_million",
        f"Selective scan of {long:,} tokens (D256 N16), forward and backward",
        "≤ 1.0 s, ≤ 6 GB, tokens/s ≥ 95 % of that at 64k",
        f"{seconds[long]:.2f} s, {memory:.1f} GB, {flat:.0%} of the tokens/s at {short:,}",
        seconds[long] <= 1.0 and memory <= 6 and flat >= 0.95,
        {"seconds": seconds[long], "short_seconds": seconds[short], "gb": memory, "flat": flat},
    )


def megabytes(who: str) -> float:
    """`grown` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.speed.scans", "--memory", who]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def grown(who: str) -> float:
    """Megabytes by which one forward and backward grows the peak resident size of this process."""
    scan = their_selective if who == "mambapy" else our_selective
    warm, grad = selective_leaves(1, 64, *SELECTIVE[2:])
    trained(scan, warm, grad)()  # loads what is loaded once
    leaves, grad = selective_leaves(1, MILLION if who == "million" else SELECTIVE[1], *SELECTIVE[2:])
    before = resident("VmRSS")
    trained(scan, leaves, grad)()
    return resident("VmHWM") - before


def resident(field: str) -> float:
    """A resident size of this process in MB, from the kernel."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) / 1e3


if __name__ == "__main__":
    main()
