"""The textbook's table of sequence models, with a measured number in every cell of it.

python -m benchmarks.quality.textbook          (about fifteen minutes; writes docs/textbook.md too)

Guides to recurrent networks compare the plain RNN, LSTM, GRU, transformer and Mamba in words: "weak",
"sequential", "constant". Here each word is a measurement of one layer, or of a small model.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch
from benchmarks.recording import CACHE, Row, arguments, machine, write
from benchmarks.timing import medians
from torch import Tensor, nn
from torch.nn import functional

from statewise import state as states
from statewise.cells.table import CELLS
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.state import State

NAMES = {"rnn": "Plain RNN", "lstm": "LSTM", "gru": "GRU", "attention": "Transformer", "mamba": "Mamba"}
WIDTH = 64
GAPS = (10, 30, 100, 300, 1000)
SYMBOLS = 8
RECALL_SECONDS, TEXT_SECONDS = 30.0, 90.0  # processor time of one training
SOLVED = 0.99
CONTEXT, FAR = 256, 2048  # trained on the first, read up to the second
PAGE = Path(__file__).parents[2] / "docs" / "textbook.md"
LENGTHS = """## Time and state against length

![Seconds and bytes of state against the number of steps, one line per cell](pictures/length.png)

One layer of every cell reads one sequence (`python -m benchmarks.speed.million_tokens`). The state of a
recurrence stays as it is; attention's grows with every step, and its time with the square.
"""

PROTOCOL = """
One residual block of every cell, width {width}, defaults of the table (the transformer: causal attention).
Memory: bytes of a layer's state after 1,000 and 10,000 steps. Long dependencies: the longest gap of {gaps}
blanks over which one of {symbols} symbols is recalled with accuracy >= {solved} on fresh sequences, after
{recall:.0f} s of processor time of training per gap (Adam, 3e-3, batch 32; the gaps in ascending order until
one fails). Training parallelism: forward and backward of 1,024 steps, batch 8, step by step over whole.
Inference: microseconds of a step (batch 1) at position 100 and at 10,000. Parameters of one block.
Long context: bytes of tiny Shakespeare, two blocks, {text:.0f} s of processor time of training on pieces of
{context} bytes; bits per byte of held-out text in the first {context} bytes of a read and in bytes
{far_from}-{far} of it, state handed on. {threads} threads."""


@dataclass(frozen=True)
class Found:
    """What was measured of one kind of model."""

    cell: str
    year: int
    memory: tuple[int, int]
    gap: int
    parallel: float
    step: tuple[float, float]
    parameters: int
    near: float
    far: float


class Reader(nn.Module):
    """Tokens [B, T] to logits [B, T, V]."""

    def __init__(self, cell: str, vocabulary: int, layers: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH)
        self.backbone = Backbone(WIDTH, config(cell, layers))
        self.norm, self.readout = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, vocabulary)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits of the next token at every position, and the state after the last."""
        hidden, state = self.backbone(self.embedding(tokens), state)
        return self.readout(self.norm(hidden)), state


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--train-only", action="store_true", help="only what is trained; time the rest later")
    options = parser.parse_args()
    quick = bool(options.quick)
    text = shakespeare()
    if options.train_only:
        for cell in NAMES:
            trained(cell, text, quick)
        return
    found = [measure(cell, text, quick) for cell in NAMES]
    table = page(found, quick)
    print(table)
    if not quick:
        PAGE.write_text(table, encoding="utf-8")
    recalled = ", ".join(f"{NAMES[one.cell]} {one.gap:,}" for one in found)
    made = [
        Row(
            "textbook",
            "The textbook's table (docs/textbook.md): steps over which a symbol is recalled",
            "measured",
            recalled,
            True,
            {one.cell: vars(one) for one in found},
        )
    ]
    write("quality.textbook", made, protocol(), {"width": WIDTH}, quick)


def protocol() -> str:
    return PROTOCOL.format(
        width=WIDTH, gaps=", ".join(map(str, GAPS)), symbols=SYMBOLS, solved=SOLVED, recall=RECALL_SECONDS,
        text=TEXT_SECONDS, context=CONTEXT, far=FAR, far_from=FAR - CONTEXT, threads=torch.get_num_threads(),
    )  # fmt: skip


def measure(cell: str, text: Tensor, quick: bool) -> Found:
    """Every column of one row."""
    print(f"{NAMES[cell]} ...", flush=True)
    learned = trained(cell, text, quick)
    return Found(
        cell,
        CELLS[cell].year,
        memory(cell),
        learned["gap"],
        parallelism(cell),
        inference(cell),
        sum(weight.numel() for weight in Backbone(WIDTH, config(cell)).parameters()),
        learned["near"],
        learned["far"],
    )


def trained(cell: str, text: Tensor, quick: bool) -> dict[str, Any]:
    """What takes training: kept on disk, so that a run that was stopped goes on where it was."""
    settings = [WIDTH, SYMBOLS, RECALL_SECONDS, TEXT_SECONDS, CONTEXT, FAR]
    kept = CACHE / ("quick/textbook" if quick else "textbook") / f"{cell}.json"
    if kept.is_file() and (found := json.loads(kept.read_text()))["settings"] == settings:
        return dict(found)
    near, far = long_context(cell, text, 2.0 if quick else TEXT_SECONDS)
    gap = longest_gap(cell, 1.0 if quick else RECALL_SECONDS, GAPS[:1] if quick else GAPS)
    made = {"settings": settings, "near": near, "far": far, "gap": gap}
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(made))
    print(made, flush=True)
    return made


def config(cell: str, layers: int = 1) -> BackboneConfig:
    return BackboneConfig(cell=cell, hidden_size=WIDTH, num_layers=layers)


def memory(cell: str) -> tuple[int, int]:
    """Bytes of the state after 1,000 and 10,000 steps."""
    backbone = Backbone(WIDTH, config(cell)).eval()
    with torch.inference_mode():
        _, near = backbone(torch.randn(1, 1_000, WIDTH))
        _, far = backbone(torch.randn(1, 9_000, WIDTH), near)
    return states.size_in_bytes(near), states.size_in_bytes(far)


def inference(cell: str) -> tuple[float, float]:
    """Median microseconds of a step at position 100 and at 10,000."""
    backbone = Backbone(WIDTH, config(cell)).eval()
    x = torch.randn(1, WIDTH)
    with torch.inference_mode():
        held = [backbone(torch.randn(1, length, WIDTH))[1] for length in (100, 10_000)]
        times: list[list[float]] = [[], []]
        for _, place in itertools.product(range(300), range(2)):
            begin = perf_counter()
            _, held[place] = backbone.step(x, held[place])
            times[place].append(1e6 * (perf_counter() - begin))
    return median(times[0]), median(times[1])


def parallelism(cell: str) -> float:
    """How many times faster the whole sequence trains than the same steps one by one."""
    backbone = Backbone(WIDTH, config(cell))
    x = torch.randn(8, 1_024, WIDTH)

    def whole() -> None:
        backbone(x)[0].sum().backward()

    def steps() -> None:
        state, outputs = backbone.initial_state(8), []
        for x_t in x.unbind(1):
            y, state = backbone.step(x_t, state)
            outputs.append(y)
        torch.stack(outputs, 1).sum().backward()

    found = medians({"whole": whole, "steps": steps}, turns=5)
    return found["steps"] / found["whole"]


def longest_gap(cell: str, seconds: float, gaps: tuple[int, ...]) -> int:
    """The longest gap over which a symbol is recalled; 0 when the first fails."""
    solved = 0
    for gap in gaps:
        torch.manual_seed(0)
        model = Reader(cell, SYMBOLS + 2, 1)
        train(model, lambda size, gap=gap: recall(size, gap), seconds, until=0.999)
        if accuracy(model, gap) < SOLVED:
            break
        solved = gap
    return solved


def recall(size: int, gap: int) -> tuple[Tensor, Tensor]:
    """A symbol, `gap` blanks, a question; the target is the symbol at the question, -100 elsewhere."""
    symbol = torch.randint(SYMBOLS, (size, 1))
    blanks = torch.full((size, gap), SYMBOLS)
    tokens = torch.cat((symbol, blanks, torch.full((size, 1), SYMBOLS + 1)), dim=1)
    targets = torch.full_like(tokens, -100)
    targets[:, -1] = symbol[:, 0]
    return tokens, targets


def accuracy(model: Reader, gap: int) -> float:
    tokens, targets = recall(256, gap)
    with torch.inference_mode():
        logits, _ = model.eval()(tokens)
    return float((logits[:, -1].argmax(-1) == targets[:, -1]).float().mean())


def train(
    model: Reader, draw: Callable[[int], tuple[Tensor, Tensor]], seconds: float, until: float = 2.0
) -> None:
    """Adam for `seconds` of processor time; stops early at a running accuracy of `until`."""
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    begin, right = process_time(), 0.0
    model.train()
    while (spent := process_time() - begin) < seconds and right < until:
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * max(0.05, 1 - spent / seconds)
        tokens, targets = draw(32)
        logits, _ = model(tokens)
        loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        asked = targets >= 0
        hit = float((logits.argmax(-1) == targets)[asked].float().mean())
        right = 0.9 * right + 0.1 * hit


def shakespeare() -> Tensor:
    """The bytes of tiny Shakespeare [n]."""
    folder = os.environ.get("STATEWISE_DATA")
    if not folder:
        raise SystemExit(
            "textbook: set STATEWISE_DATA to the folder of data sets (see benchmarks/README.md)."
        )
    data = gzip.decompress(Path(folder, "tiny_shakespeare", "input.txt.gz").read_bytes())
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).long()


def long_context(cell: str, text: Tensor, seconds: float) -> tuple[float, float]:
    """Bits per byte of held-out text near the beginning of a read and far into it."""
    torch.manual_seed(0)
    model, cut = Reader(cell, 256, 2), int(0.9 * len(text))
    held_in, held_out = text[:cut], text[cut:]

    def draw(size: int) -> tuple[Tensor, Tensor]:
        at = torch.randint(len(held_in) - CONTEXT - 1, (size, 1)) + torch.arange(CONTEXT + 1)
        pieces = held_in[at]
        return pieces[:, :-1], pieces[:, 1:]

    train(model, draw, seconds)
    rows = held_out[: len(held_out) // (FAR + 1) * (FAR + 1)].view(-1, FAR + 1)[:32]
    with torch.inference_mode():
        logits, _ = model.eval()(rows[:, :-1])
        nats = functional.cross_entropy(logits.transpose(1, 2), rows[:, 1:], reduction="none")
    bits = nats / torch.log(torch.tensor(2.0))
    return float(bits[:, :CONTEXT].mean()), float(bits[:, -CONTEXT:].mean())


def page(found: list[Found], quick: bool) -> str:
    """The table as a page of the documentation."""
    columns: list[tuple[str, Callable[[Found], str]]] = [
        ("Year", lambda one: f"{one.year}"),
        ("Memory: bytes of state after 1,000 → 10,000 steps", lambda one: arrow(*one.memory, ",")),
        ("Long dependencies: recalls over", lambda one: f"{one.gap:,} steps" if one.gap else "none tried"),
        ("Training: whole sequence against steps", lambda one: f"{one.parallel:.1f} × faster"),
        ("Inference: µs a step at position 100 → 10,000", lambda one: arrow(*one.step, ".0f")),
        ("Parameters of a block", lambda one: f"{one.parameters:,}"),
        (
            f"Bits per byte, first {CONTEXT} → around byte {FAR:,}",
            lambda one: arrow(one.near, one.far, ".2f"),
        ),
    ]
    head = "| | " + " | ".join(NAMES[one.cell] for one in found) + " |"
    lines = [head, "|---" * (len(found) + 1) + "|"]
    lines += [f"| {title} | " + " | ".join(show(one) for one in found) + " |" for title, show in columns]
    words = " ".join(protocol().split())
    return (
        "# The textbook's table, measured\n\n"
        "Guides to recurrent networks compare these models in words. Here every word is a number, from\n"
        f"`python -m benchmarks.quality.textbook` on {machine()}{' (quick run)' if quick else ''}.\n\n"
        + "\n".join(lines)
        + f"\n\nHow: {words}\n\n{LENGTHS}"
    )


def arrow(before: float, after: float, digits: str) -> str:
    return f"{before:{digits}} → {after:{digits}}"


if __name__ == "__main__":
    main()
