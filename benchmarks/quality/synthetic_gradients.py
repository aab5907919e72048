"""How far back does a truncated network learn? Copying with and without predicted gradients at the cuts.

python -m benchmarks.quality.synthetic_gradients
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import numpy as np
import torch
from benchmarks.made_up_tasks import Batch, Tagger, losses, right, tagger
from benchmarks.recording import Row, arguments, write
from torch import Tensor

from statewise.data.chunks import Chunk, cut
from statewise.state import State
from statewise.training import TrainConfig, train
from statewise.training.synthetic_gradients import Decoupled

SETTINGS: dict[str, Any] = {
    "backbone": {"cell": "lstm", "hidden_size": 64, "residual": False},
    "train": {"batch_size": 64, "learning_rate": 2e-3, "schedule": "constant", "weight_decay": 0.0},
    "predictor": {"hidden_size": 128, "discount": 0.9},
    "truncate": 4,
}
WAYS = ("truncated", "decoupled", "whole")
SECONDS = 30.0  # processor time of each run
SEEDS = (0, 1)
LETTERS, LONGEST = 4, 40
PASSED = 0.97  # of the letters of a batch right, over the last batches, before the task gets longer
WINDOW = 20

PROTOCOL = """
Copying, as in Jaderberg et al. 2017, section 3.1: N letters of {letters}, a sign, N blanks during which the
letters are to be repeated: every letter is asked for N + 1 steps after it was seen. N starts at 1 and grows
by one when {passed:.0%} of the letters of the last {window} batches were right. LSTM, 64 units, updates after
every chunk. truncated: chunks of {truncate} steps, the state handed on, no gradient across; decoupled: the
same, with predicted gradients at the cuts (statewise.training.synthetic_gradients); whole: all at once.
Measured: the largest N passed within {seconds:.0f} s of processor time, median of {seeds} seeds.
An experiment: predicted gradients are no default."""


class Copying:
    """The training problem: copying of a length that grows with success."""

    def __init__(self, network: Tagger, batch_size: int, truncate: int | None) -> None:
        self.network, self.batch_size, self.truncate = network, batch_size, truncate
        self.length, self.recent = 1, [0.0] * WINDOW
        self.hits = self.asked = 0.0

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        while True:
            batch = sequences(rng, self.batch_size, self.length)
            self.hits = self.asked = 0.0
            yield from cut(*batch, self.truncate)
            self.recent = [*self.recent[1:], self.hits / self.asked]
            if min(len(self.recent), WINDOW) == WINDOW and np.mean(self.recent) >= PASSED:
                self.length, self.recent = self.length + 1, [0.0] * WINDOW

    def loss(self, network: Tagger, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        y, after = network(chunk.inputs, state)
        with torch.no_grad():
            self.hits += float(((y.argmax(dim=-1) == chunk.target) * chunk.weight).sum())
            self.asked += float(chunk.weight.sum())
        # By rows, not by what is asked in a chunk: all chunks of a sequence count alike.
        return (losses(y, chunk.target) * chunk.weight).sum() / len(chunk.weight), after

    def validate(self, network: Tagger) -> float:
        return 1 - right(network, sequences(np.random.default_rng(1), 256, self.length))


def sequences(rng: np.random.Generator, count: int, length: int) -> Batch:
    """Letters, a sign, blanks [B, 2 N + 1, letters + 2]; the letters again, which alone count."""
    letters = rng.integers(LETTERS, size=(count, length))
    line = np.full((count, 2 * length + 1), LETTERS)
    line[:, :length], line[:, length] = letters, LETTERS + 1
    target, weight = np.zeros_like(line), torch.zeros(count, 2 * length + 1)
    target[:, length + 1 :], weight[:, length + 1 :] = letters, 1
    inputs = torch.from_numpy(np.eye(LETTERS + 2, dtype=np.float32)[line])
    return Batch(inputs, torch.from_numpy(target), weight)


def passed(way: str, seed: int, seconds: float) -> dict[str, float]:
    """The largest length passed in the time, and the updates taken."""
    network = tagger(LETTERS + 2, LETTERS, SETTINGS["backbone"], seed)
    chosen = SETTINGS["train"]
    copying = Copying(network, chosen["batch_size"], None if way == "whole" else SETTINGS["truncate"])
    problem: Any = Decoupled(copying, **SETTINGS["predictor"]) if way == "decoupled" else copying
    config = TrainConfig(**chosen, steps=10_000_000, validate_every=0, seed=seed, threads=1)
    began, updates = time.process_time(), 0
    for progress in train(problem, config):
        updates = progress.step
        if time.process_time() - began > seconds or copying.length > LONGEST:
            break
    return {"length": copying.length - 1, "updates": updates}


def main() -> None:
    options = arguments(__doc__).parse_args()
    seconds, seeds = (2.0, SEEDS[:1]) if options.quick else (SECONDS, SEEDS)
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for seed in seeds:
        for way in WAYS:
            found[way].append(passed(way, seed, seconds))
            print(way, seed, found[way][-1], flush=True)
    length = {way: median(run["length"] for run in runs) for way, runs in found.items()}
    row = Row(
        "synthetic_gradients",
        f"Copying learned with chunks of {SETTINGS['truncate']} steps, letters in {seconds:.0f} CPU s",
        "predicted gradients reach farther than truncation alone (an experiment)",
        ", ".join(f"{way}: {length[way]:g}" for way in WAYS),
        length["decoupled"] > length["truncated"],
        {"runs": found},
    )
    protocol = PROTOCOL.format(
        letters=LETTERS,
        passed=PASSED,
        window=WINDOW,
        truncate=SETTINGS["truncate"],
        seconds=seconds,
        seeds=len(seeds),
    )
    write("quality.synthetic_gradients", [row], protocol, SETTINGS, options.quick, seeds=seeds)


if __name__ == "__main__":
    main()
