"""Next item: where an aircraft that was never seen flies next, beside n-grams and the most frequent place.

python -m benchmarks.quality.next_destination
"""

from __future__ import annotations

import time

from benchmarks.recording import Row, arguments, write
from examples.next_destination import parts, trained

import statewise as sw

PROTOCOL = """
examples/next_destination.py: 80,000 legs of aircraft of three airlines that left New York in 2013, in order
of time; a fifth of the aircraft, drawn by seed 0, is asked about, the others are learned from. One seed; no
part of its own was kept to choose settings on. hit@k: share of legs whose destination is among the k
likeliest. n-grams: modified Kneser-Ney."""


def main() -> None:
    options = arguments(__doc__).parse_args()
    train, test = parts()
    begin = time.process_time()
    model = trained(train, progress=False)
    seconds = time.process_time() - begin
    report = sw.evaluate(model, test, train=train)
    rest = {
        name: {metric: values[0] for metric, values in row.items()} for name, row in report.systems.items()
    }
    texts = [
        f"{name} {row['perplexity']:.2f} (hit@1 {row['hit@1']:.3f}, hit@5 {row['hit@5']:.3f})"
        for name, row in rest.items()
    ]
    others = [row["perplexity"] for name, row in rest.items() if name != "model"]
    row = Row(
        "next_destination",
        "Next destination of unseen aircraft, perplexity",
        "below that of n-grams",
        f"{', '.join(texts)}; {seconds:.0f} CPU s",
        rest["model"]["perplexity"] < min(others),
        {"systems": rest, "cpu_seconds": seconds, "rows": report.rows},
    )
    write("quality.next_destination", [row], PROTOCOL, {}, options.quick)


if __name__ == "__main__":
    main()
