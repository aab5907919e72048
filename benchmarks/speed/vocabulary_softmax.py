"""A training step of the softmax over a large vocabulary: full, in groups of their own, in tied groups.

python -m benchmarks.speed.vocabulary_softmax
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from benchmarks.recording import Row, arguments, middle, timed, write
from torch import Tensor

import statewise as sw
from statewise.nn.embedding import TokenEmbedding
from statewise.nn.vocabulary_readout import (
    AdaptiveSoftmax,
    FullSoftmax,
    TiedAdaptiveSoftmax,
    VocabularyReadout,
)

ITEMS = 33_280  # words of WikiText-2
WIDTH = 256
ROWS = (40, 70)
EXPONENT = 1.15
THREADS = 1
TURNS = 5
COARSE, FINE = (2000, 10000), (1000, 4000, 10000, 18000)

PROTOCOL = """
Losses of {rows} contexts of {width} values over {items:,} items, and the gradients of contexts and weights,
float32, {threads} thread. Items are drawn with probabilities 1 / (rank + 10)^{exponent}, so that the most
frequent 2,000 are {share:.0%} of them (of the words of WikiText-2: 77 %). Processor time, in turns, medians
of {turns}. The groups end at the ranks {coarse} or {fine}; groups of their own have {width}, 64 and 16 values
per item, all others {width}."""


def main() -> None:
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(THREADS)
    sw.keep_freed_memory()
    torch.manual_seed(0)
    odds = 1 / (torch.arange(ITEMS) + 10.0) ** EXPONENT
    target = torch.multinomial(odds, ROWS[0] * ROWS[1], replacement=True).view(ROWS)
    embedding = TokenEmbedding(ITEMS, WIDTH)
    readouts: dict[str, VocabularyReadout] = {
        "full": FullSoftmax(WIDTH, embedding),
        "groups of their own": AdaptiveSoftmax(WIDTH, ITEMS, COARSE),
        "tied groups": TiedAdaptiveSoftmax(WIDTH, embedding, COARSE),
        "more tied groups": TiedAdaptiveSoftmax(WIDTH, embedding, FINE),
    }
    calls = {name: step(readout, embedding, target) for name, readout in readouts.items()}
    turns = [
        {name: 1e3 * timed(call).cpu for name, call in calls.items()}
        for _ in range(1 + (2 if options.quick else TURNS))
    ]
    times = middle(turns[1:])  # the first calls pay for what is made once
    best = times["more tied groups"]
    row = Row(
        "vocabulary_softmax",
        f"Softmax over {ITEMS:,} words, a training step of {ROWS[0] * ROWS[1]:,} words, CPU ms",
        "tied groups cheaper than groups with weights of their own",
        ", ".join(f"{name} {time:.0f}" for name, time in times.items()),
        best < times["groups of their own"],
        times,
    )
    share = float((odds[:2000].sum() / odds.sum()).item())
    protocol = PROTOCOL.format(
        rows=f"{ROWS[0]} × {ROWS[1]}",
        width=WIDTH,
        items=ITEMS,
        threads=THREADS,
        exponent=EXPONENT,
        share=share,
        turns=TURNS,
        coarse=COARSE,
        fine=FINE,
    )
    write("speed.vocabulary_softmax", [row], protocol, {"turns": TURNS}, options.quick)


def step(readout: VocabularyReadout, embedding: TokenEmbedding, target: Tensor) -> Callable[[], None]:
    """A step forward and back, without the optimiser's."""
    contexts = torch.randn(*target.shape, WIDTH, requires_grad=True)
    weights = [contexts, embedding.weight, *readout.parameters()]

    def call() -> None:
        readout.losses(contexts, target).mean().backward()  # type: ignore[no-untyped-call]
        for weight in weights:
            weight.grad = None

    return call


if __name__ == "__main__":
    main()
