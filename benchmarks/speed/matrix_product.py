"""The packed matrix product of the kernels beside torch's, at the sizes of projections and their gradients.

python -m benchmarks.speed.matrix_product
"""

from __future__ import annotations

import torch
from benchmarks.recording import Row, arguments, write
from benchmarks.timing import medians
from torch import Tensor

from statewise.ops.linear import faster, product

# Rows, columns and the length of the sums: a projection, the gradient of its input, that of its weights.
SIZES = {"forward": (16_384, 768, 256), "input": (16_384, 256, 768), "weights": (768, 256, 16_384)}
THREADS = 2
TURNS = 9

PROTOCOL = """
out [M, N] = a [M, K] b [K, N], float32, {threads} threads, (M, N, K) = {sizes}: x W', the gradient of x, and
that of W, in the layouts in which `ops.linear` meets them. Beside it torch.mm with its default precision. In
turns, medians of {turns}. The error is the largest difference from float64 over the largest value."""


def main() -> None:
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(THREADS)
    if not faster():
        raise SystemExit(
            "matrix_product: the packed product is not in use here (no extension, or Intel's processor)."
        )
    turns = 3 if options.quick else TURNS
    found = {name: measure(name, turns) for name in SIZES}
    ratios = [times["ratio"] for times in found.values()]
    texts = [f"{name} {times['ours']:.0f} ({times['torch']:.0f})" for name, times in found.items()]
    row = Row(
        "matrix_product",
        "Matrix product, GFLOP/s (torch's beside it)",
        "faster than torch's at the same accuracy (error ≤ 2e-6)",
        f"{', '.join(texts)}; largest error {max(times['error'] for times in found.values()):.1e}",
        min(ratios) > 1 and all(times["error"] <= 2e-6 for times in found.values()),
        found,
    )
    sizes = ", ".join(map(str, SIZES.values()))
    protocol = PROTOCOL.format(threads=THREADS, sizes=sizes, turns=turns)
    write("speed.matrix_product", [row], protocol, {"turns": turns}, options.quick)


def measure(name: str, turns: int) -> dict[str, float]:
    """GFLOP/s of both, and the error of ours."""
    rows, columns, deep = SIZES[name]
    a, b = operands(name)
    ours, theirs = torch.empty(rows, columns), torch.empty(rows, columns)
    times = medians({"ours": lambda: product(a, b, ours), "torch": lambda: torch.mm(a, b, out=theirs)}, turns)
    work = 2e-6 * rows * columns * deep  # per millisecond
    exact = a.double() @ b.double()
    error = float((ours - exact).abs().max() / exact.abs().max())
    speeds = {side: work / taken for side, taken in times.items()}
    return {**speeds, "ratio": speeds["ours"] / speeds["torch"], "error": error}


def operands(name: str) -> tuple[Tensor, Tensor]:
    """a [M, K] and b [K, N] as views of how they lie in memory."""
    torch.manual_seed(0)
    rows, columns, deep = SIZES[name]
    a = torch.randn(deep, rows).t() if name == "weights" else torch.randn(rows, deep)
    b = torch.randn(columns, deep).t() if name == "forward" else torch.randn(deep, columns)
    return a, b


if __name__ == "__main__":
    main()
