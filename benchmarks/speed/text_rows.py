"""Text to numbers and to batches: how fast, beside the plain alternatives, and how much padding is left.

    python -m benchmarks.speed.text_rows

Needs WikiText-2 in STATEWISE_DATA.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from benchmarks.recording import Row, arguments, write
from benchmarks.text_data import wikitext2

from statewise.data.bucketing import buckets, padding_share
from statewise.rows.text.byte_pairs import BytePairs
from statewise.rows.text.characters import Characters
from statewise.rows.text.words import Words

BUDGET = 4000  # steps of a batch with their padding
SIZE = 8000  # parts of words
PROTOCOL = """WikiText-2 (words), validation part, lines that are not blank, one line a call. Processor time
of one process, contestants in turns, medians over {turns} turns. Each tokeniser is fitted on the same lines.
Alternatives: for words str.split and dict.get; for byte-pair encoding the tokenizers library called directly
with the same merges; for batches rows in a drawn order, cut to the same budget of steps. Padding: the share
of padded steps that are padding, of the training part's lines in words."""


def main() -> None:
    """Measure all rows and write them."""
    options = arguments(__doc__).parse_args()
    turns = 3 if options.quick else 9
    data = wikitext2()
    texts = [text for text in data.validation["text"] if text.strip()][: 200 if options.quick else None]
    lengths = np.array([len(text.split()) for text in data.train["text"] if text.strip()])
    rows = [tokens_row(texts, turns), batches_row(lengths, turns)]
    config = {"batch_tokens": BUDGET, "max_size": SIZE, "turns": turns, "lines": len(texts)}
    write("speed.text_rows", rows, PROTOCOL.format(turns=turns), config, options.quick)


def tokens_row(texts: list[str], turns: int) -> Row:
    """Millions of characters a second of each tokeniser, beside the plain way."""
    words = Words.fit(texts, pretokenized=True)
    parts, characters = BytePairs.fit(texts, max_size=SIZE), Characters.fit(texts)
    index, library = words.vocabulary.index, parts._coder
    rng = np.random.default_rng(0)
    calls: dict[str, Callable[[str], Any]] = {
        "words": words.encode,
        "split and dict": lambda text: [index.get(word, 1) for word in text.split()],
        "words, signs split": Words(words.vocabulary).encode,
        "characters": characters.encode,
        "bpe": parts.encode,
        "tokenizers library": lambda text: library.encode(text).ids,
        "bpe with dropout": lambda text: parts.sample(text, rng),
    }
    seconds = timed(
        {name: lambda call=call: [call(text) for text in texts] for name, call in calls.items()}, turns
    )
    speed = {name: sum(map(len, texts)) / value / 1e6 for name, value in seconds.items()}
    shares = speed["words"] / speed["split and dict"], speed["bpe"] / speed["tokenizers library"]
    told = ", ".join(f"{name} {value:.3g}" for name, value in speed.items())
    return Row(
        "text_tokenising",
        "Text to numbers, millions of characters a second on one core",
        "words ≥ 0.8 of split and dict, bpe ≥ 0.9 of the library",
        told,
        shares[0] >= 0.8 and shares[1] >= 0.9,
        {"speed": speed, "share_of_plain_words": shares[0], "share_of_library": shares[1]},
    )


def batches_row(lengths: np.ndarray, turns: int) -> Row:
    """Padding of buckets and of rows in a drawn order under one budget, and the time of a million rows."""
    rng = np.random.default_rng(0)
    bucketed = buckets(lengths, batch_tokens=BUDGET, rng=rng)
    million = rng.choice(lengths, 1_000_000)
    seconds = timed({"buckets": lambda: buckets(million, batch_tokens=BUDGET, rng=rng)}, min(turns, 3))
    share, plain = padding_share(lengths, bucketed), padding_share(lengths, drawn(lengths, rng))
    return Row(
        "text_buckets",
        f"Batches of {BUDGET:,} steps of lines of WikiText-2: padding, and time to plan an epoch",
        "padding ≤ 2 %, a million rows ≤ 1 s",
        f"{share:.2%} padding (rows in a drawn order {plain:.0%}); {seconds['buckets']:.2f} s a million rows",
        share <= 0.02 and seconds["buckets"] <= 1.0,
        {"padding": share, "padding_of_drawn_rows": plain, "seconds_a_million_rows": seconds["buckets"]},
    )


def drawn(lengths: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Rows in a drawn order, cut where the next row would break the budget."""
    batches: list[list[int]] = [[]]
    longest = 0
    for row in rng.permutation(len(lengths)).tolist():
        longest = max(longest, int(lengths[row]))
        if batches[-1] and longest * (len(batches[-1]) + 1) > BUDGET:
            batches.append([])
            longest = int(lengths[row])
        batches[-1].append(row)
    return [np.array(batch) for batch in batches]


def timed(calls: Mapping[str, Callable[[], Any]], turns: int) -> dict[str, float]:
    """Median seconds of processor time of each call, in turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            begin = process_time()
            call()
            found[name].append(process_time() - begin)
    return {name: median(times) for name, times in found.items()}


if __name__ == "__main__":
    main()
