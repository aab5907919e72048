"""One word or character into a live classifier, tagger or language model: microseconds per update.

python -m benchmarks.speed.item_stream
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from statistics import median
from typing import Any, Literal

import numpy as np
import torch
from benchmarks.recording import Row, arguments, write
from benchmarks.timing import interleaved

import statewise as sw
from statewise.streaming.items import ItemStream
from statewise.tasks.task import Task

WORDS, TEXTS, LENGTH = 20_000, 4000, 20
ENGINES: tuple[Literal["native", "onnx", "torch"], ...] = ("native", "onnx", "torch")
TURNS, BURST = 9, 0.1  # seconds of a turn of each variant
TASKS: dict[str, Task] = {
    "classify words": sw.Classify(bidirectional=False),
    "tag words": sw.Tag(bidirectional=False),
    "next word": sw.Generate(tokenizer="words", documents=True),
    "next character": sw.Generate(documents=True),
}
PROTOCOL = """
model.stream(engine=…).update(item) in one Python process on one thread: one word or character in; a label
with probabilities, or the surprisal and the next item's probabilities, out. Models of each kind's default
settings (tagger with letter convolutions and a random field; the language model of words with a softmax over
all of them), hardly trained on made-up texts: {words:,} different words drawn by Zipf's law, each with
letters of its own. Variants in turns, {turns} of about {burst} s each; medians over turns, wall time."""


def main() -> None:
    options = arguments(__doc__).parse_args()
    sw.keep_freed_memory()
    torch.set_num_threads(1)
    turns = 2 if options.quick else TURNS
    texts = made_up(200 if options.quick else TEXTS)
    found: dict[str, dict[str, float]] = {}
    for name, task in TASKS.items():
        found[name] = measured(model(task, texts), items(task, texts), turns)
        print(name, {engine: f"{value:.1f} µs" for engine, value in found[name].items()}, flush=True)
    parts = (f"{name} {'/'.join(f'{each[e]:.0f}' for e in ENGINES)}" for name, each in found.items())
    row = Row(
        "item_stream",
        "Live words and characters: µs per update in Python, native / ONNX Runtime / torch",
        "native is the fastest",
        ", ".join(parts),
        all(each["native"] == min(each.values()) for each in found.values()),
        found,
    )
    protocol = PROTOCOL.format(words=WORDS, turns=turns, burst=BURST)
    write(
        "speed.item_stream", [row], protocol, {"tasks": {k: repr(t) for k, t in TASKS.items()}}, options.quick
    )


def made_up(count: int) -> list[str]:
    """Texts of words by Zipf's law."""
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 6)) for _ in range(WORDS)]
    chances = 1 / np.arange(1, WORDS + 1)
    drawn = rng.choice(WORDS, (count, LENGTH), p=chances / chances.sum())
    drawn.flat[:WORDS] = np.arange(min(WORDS, drawn.size))  # every word is known
    return [" ".join(words[place] for place in row) for row in drawn]


def model(task: Task, texts: list[str]) -> sw.Model:
    """A model of the kind's default settings; the speed of a step does not depend on its weights."""
    rows = [
        {"text": text, "label": "ab"[i % 2], "tokens": text.split(), "labels": ["A", "B"] * (LENGTH // 2)}
        for i, text in enumerate(texts)
    ]
    return sw.fit(task, rows, train=sw.TrainConfig(steps=2), validation=0.0, progress=False)


def items(task: Task, texts: list[str]) -> list[str]:
    """What a live source of the task sends."""
    if isinstance(task, sw.Generate) and task.tokenizer == "characters":
        return list(texts[0])
    return [word for text in texts[:50] for word in text.split()]


def measured(model: sw.Model, sent: list[str], turns: int) -> dict[str, float]:
    """Microseconds per update of each engine."""
    calls: dict[str, Callable[[], Any]] = {}
    for engine in ENGINES:
        stream = model.stream(engine=engine)
        assert isinstance(stream, ItemStream)
        calls[engine] = updating(stream, sent)
    return {engine: 1e6 * median(times) for engine, times in interleaved(calls, turns, BURST).items()}


def updating(stream: ItemStream, sent: list[str]) -> Callable[[], Any]:
    """A call sends the next item, without end."""
    source = cycle(sent)
    return lambda: stream.update(next(source))


if __name__ == "__main__":
    main()
