"""A language model reads a million tokens; time and state against length for every cell, in one picture.

python -m benchmarks.speed.million_tokens
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from benchmarks.recording import Row, arguments, write
from torch import Tensor, nn

from statewise import state as states
from statewise.cells.table import CELLS
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.state import State

VOCABULARY, WIDTH, LAYERS, CELL = 256, 64, 2, "mingru"
TOKENS, CHUNK = 1_000_000, 8192
READ_SECONDS, FLAT = 1.0, 1.05
REPEATS, STEPS = 5, 2000
LENGTHS = (128, 512, 2048, 8192, 32768)
TIME_LIMIT = 20.0  # seconds of one length; a cell that takes longer is not asked for the next
PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "length.png"

PROTOCOL = """
Language model: embedding of {vocabulary} tokens, {layers} residual blocks of {cell} of width {width}, norm,
readout of the next token's logits. Reading: {tokens:,} random tokens, batch 1, in chunks of {chunk:,} with
the state handed over, no gradient, {threads} threads; logits after every chunk; median of {repeats} runs.
Step: one token with the state after 1 and after {tokens:,} tokens, in turns, median of {steps} each.
Lengths: one layer of every cell of the table (width {width}, batch 1, forward without gradient, random
input), seconds and bytes of the state after it; a cell that took over {limit:.0f} s stops there."""


class LanguageModel(nn.Module):
    """Tokens [B, T] to logits of the next one [B, V], with the state handed on."""

    def __init__(self, cell: str, width: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.backbone = Backbone(width, BackboneConfig(cell=cell, hidden_size=width, num_layers=layers))
        self.norm, self.readout = nn.LayerNorm(width), nn.Linear(width, VOCABULARY)

    def read(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Logits after the last of `tokens` [B, T]."""
        hidden, state = self.backbone(self.embedding(tokens), state)
        return self.readout(self.norm(hidden[:, -1])), state

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """Logits after one more token [B]."""
        hidden, state = self.backbone.step(self.embedding(token), state)
        return self.readout(self.norm(hidden)), state


@dataclass(frozen=True)
class Point:
    """One cell at one length."""

    cell: str
    length: int
    seconds: float
    state_bytes: int


def main() -> None:
    options = arguments(__doc__).parse_args()
    torch.manual_seed(0)
    total = 50_000 if options.quick else TOKENS
    model = LanguageModel(CELL, WIDTH, LAYERS).eval()
    with torch.inference_mode():
        times = [read(model, total)[0] for _ in range(2 if options.quick else REPEATS)]
        steps = step_times(model, total)
        points = [point for name in CELLS for point in lengths(name, options.quick)]
    if not options.quick:
        draw(points)
    ratio = steps["last"] / steps["first"]
    weights = sum(weight.numel() for weight in model.parameters())
    rows = [
        Row(
            "million_tokens",
            f"{total:,} tokens read by a model of {LAYERS} x {CELL}, width {WIDTH}, {weights:,} weights",
            f"< {READ_SECONDS:.0f} s",
            f"{median(times):.2f} s, state {steps['state_bytes']:,} bytes",
            median(times) < READ_SECONDS,
            {"seconds": times},
        ),
        Row(
            "million_tokens_step",
            f"Its step at position {total:,} against the first",
            f"<= {FLAT} x",
            f"{ratio:.3f} x ({steps['last']:.0f} us)",
            ratio <= FLAT,
            steps,
        ),
        Row(
            "million_tokens_lengths",
            "State after 32,768 steps against 128, one layer of every cell",
            "constant for all but full attention",
            growth_text(points),
            all(grown == 1 for cell, grown in growth(points).items() if cell != "attention"),
            {"points": [vars(point) for point in points]},
        ),
    ]
    protocol = PROTOCOL.format(
        vocabulary=VOCABULARY, layers=LAYERS, cell=CELL, width=WIDTH, tokens=total, chunk=CHUNK,
        threads=torch.get_num_threads(), repeats=len(times), steps=STEPS, limit=TIME_LIMIT,
    )  # fmt: skip
    write("speed.million_tokens", rows, protocol, {"cell": CELL, "width": WIDTH}, options.quick)


def read(model: LanguageModel, total: int) -> tuple[float, State]:
    """Seconds to read `total` tokens, and the state after them."""
    tokens = torch.randint(VOCABULARY, (1, total))
    begin, state = perf_counter(), None
    for chunk in tokens.split(CHUNK, dim=1):
        _, state = model.read(chunk, state)
    return perf_counter() - begin, state


def step_times(model: LanguageModel, total: int) -> dict[str, float]:
    """Median microseconds of a step after one token and after `total`, in turns."""
    token = torch.zeros(1, dtype=torch.long)
    held = {"first": model.step(token, model.backbone.initial_state(1))[1], "last": read(model, total)[1]}
    found: dict[str, list[float]] = {name: [] for name in held}
    for _ in range(STEPS):
        for name in held:
            begin = perf_counter()
            _, held[name] = model.step(token, held[name])
            found[name].append(1e6 * (perf_counter() - begin))
    return {name: median(times) for name, times in found.items()} | {
        "state_bytes": states.size_in_bytes(held["last"])
    }


def lengths(name: str, quick: bool) -> list[Point]:
    """One layer of a cell over sequences of growing length."""
    cell = CELLS[name].make(WIDTH, WIDTH).eval()
    found: list[Point] = []
    for length in LENGTHS[:2] if quick else LENGTHS:
        if found and found[-1].seconds * 4 > TIME_LIMIT:
            break
        x = torch.randn(1, length, WIDTH)
        times = []
        for _ in range(3):
            begin = perf_counter()
            _, state = cell(x)
            times.append(perf_counter() - begin)
        found.append(Point(name, length, median(times), states.size_in_bytes(state)))
    return found


def growth(points: list[Point]) -> dict[str, float]:
    """The state at the longest length over that at the shortest, by cell."""
    by_cell: dict[str, list[Point]] = {}
    for point in points:
        if not point.state_bytes:  # the feed-forward layer keeps nothing
            continue
        by_cell.setdefault(point.cell, []).append(point)
    return {cell: of[-1].state_bytes / max(of[0].state_bytes, 1) for cell, of in by_cell.items()}


def growth_text(points: list[Point]) -> str:
    grown = {cell: ratio for cell, ratio in growth(points).items() if ratio != 1}
    rest = len(growth(points)) - len(grown)
    return f"{rest} cells x 1; " + (", ".join(f"{c} x {r:.0f}" for c, r in grown.items()) or "none grows")


def draw(points: list[Point]) -> None:
    """Seconds and bytes against length, a line per cell; the transformer's layer stands out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5), layout="constrained")
    time, memory = figure.subplots(1, 2)
    names = list(dict.fromkeys(point.cell for point in points))
    for axis, value, label in (
        (time, "seconds", "seconds for the whole sequence"),
        (memory, "state_bytes", "bytes of state after it"),
    ):
        ends: dict[str, float] = {}
        colors: dict[str, Any] = {}
        for name in names:
            of = [point for point in points if point.cell == name and getattr(point, value)]
            style: dict[str, Any] = (
                {"color": "black", "linewidth": 2.5, "zorder": 3}
                if name == "attention"
                else {"linewidth": 1.2}
            )
            (line,) = axis.plot([p.length for p in of], [getattr(p, value) for p in of], **style)
            colors[name] = line.get_color()
            ends |= {name: getattr(of[-1], value)} if of else {}
        for text, at in apart(ends).items():
            axis.text(
                LENGTHS[-1] * 1.1, at, text, fontsize=6.5, va="center", color=colors[text.split(",")[0]]
            )
        axis.set(xscale="log", yscale="log", xlabel="steps", ylabel=label)
        axis.set_xlim(LENGTHS[0] * 0.9, LENGTHS[-1] * 6)
        axis.grid(alpha=0.3)
    figure.suptitle(f"One layer of width {WIDTH}, one sequence, forward")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=130)


def apart(ends: dict[str, float], gap: float = 1.22) -> dict[str, float]:
    """Heights of labels: names at one height share a label, and no two stand closer than `gap` times."""
    groups: dict[float, list[str]] = {}
    for name, end in sorted(ends.items(), key=lambda item: item[1]):
        near = next((height for height in groups if end < height * 1.03), end)
        groups.setdefault(near, []).append(name)
    placed: dict[str, float] = {}
    for height, names in groups.items():
        placed[", ".join(names)] = max([height, *(at * gap for at in placed.values())])
    return placed


if __name__ == "__main__":
    main()
