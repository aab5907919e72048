"""Tell what reviews say, decide by what mistakes cost, and listen word by word.

python examples/sentiment.py reviews.csv     (columns text and label)
"""

from __future__ import annotations

import sys

import statewise as sw


def main(path: str) -> None:
    # The label so far after every word needs a network that reads from the start to the end only.
    task = sw.Classify(text="text", label="label", bidirectional=False)
    model = sw.fit(task, path)
    calibration = model.training["calibration"]
    print(f"calibration error {calibration['ece_before']:.3f}, then {calibration['ece_after']:.3f}")
    model.save("reviews.sw")

    live = sw.load("reviews.sw")
    session = live.stream()
    for word in live.codec.tokens("not bad at all, but far too long"):
        event = session.update(word).plain()
        print(f"{word:12} {event['label']} {event['probability']:.2f}")


if __name__ == "__main__":
    main(sys.argv[1])
