"""Bach's chorales: which of 88 notes sound next, each by itself, at every quarter.

python -m benchmarks.quality.jsb_chorales              the result
python -m benchmarks.quality.jsb_chorales --validate   no look at the test pieces
"""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from benchmarks.recording import Row, arguments, write
from torch import Tensor, nn
from torch.nn import functional

from statewise.core.errors import DataError
from statewise.data.chunks import Chunk
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.recurrence import Recurrence, real_steps, zero_padding
from statewise.state import State
from statewise.training import TrainConfig, train

# All that was chosen, on the validation pieces.
SETTINGS: dict[str, Any] = {
    "backbone": {
        "cell": "lstm",
        "hidden_size": 200,
        "num_layers": 1,
        "dropout": 0.0,
        "recurrent_dropout": 0.3,
    },
    "dropout": 0.5,  # of the notes' embedding, and before the head
    "train": {"epochs": 60, "batch_size": 8, "learning_rate": 4e-3, "weight_decay": 0.1, "average": 0.98},
}
SEEDS = (0, 1, 2)
NOTES, LOWEST = 88, 21  # MIDI numbers 21 to 108, a piano's keys
BAR = 8.43

PROTOCOL = """
JSB chorales at quarter notes (Boulanger-Lewandowski et al. 2012; 229 / 76 / 77 pieces), as in Bai, Kolter
and Koltun 2018: from the frames 0 … t the notes of frame t + 1, 88 independent Bernoulli variables; the
negative log-likelihood in nats, summed over the 88 notes and averaged over all predicted frames of all test
pieces. Weights of the best validation pieces; test pieces looked at once with the settings chosen. Median of
{seeds} seeds. Models of notes that depend on each other within a frame reach lower numbers and are not
comparable."""


class Pieces(NamedTuple):
    """Frames [N, T, 88], padded with zeros, and how many there are of each piece [N]."""

    frames: Tensor
    lengths: Tensor


class Choir(Recurrence):
    """Frames [B, T, 88] to logits [B, T, 88] of the next frame's notes."""

    def __init__(self, backbone: BackboneConfig, dropout: float) -> None:
        super().__init__()
        self.embed = nn.Linear(NOTES, backbone.hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.backbone = Backbone(backbone.hidden_size, backbone)
        self.norm = nn.LayerNorm(backbone.hidden_size)
        self.head = nn.Linear(backbone.hidden_size, NOTES)

    def initial_state(self, batch: int) -> State:
        return self.backbone.initial_state(batch)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.backbone.step(self.dropout(self.embed(x)), state)
        return self.head(self.dropout(self.norm(y))), state

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        y, state = self.backbone(self.dropout(self.embed(zero_padding(x, lengths))), state, lengths)
        return zero_padding(self.head(self.dropout(self.norm(y))), lengths), state


class NextFrame:
    """The training problem: all pieces in random groups; the score is the validation pieces'."""

    def __init__(self, network: Choir, training: Pieces, validation: Pieces, batch_size: int) -> None:
        self.network, self.training, self.validation = network, training, validation
        self.batch_size = batch_size

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        order = torch.from_numpy(rng.permutation(len(self.training.lengths)))
        for index in order.split(self.batch_size):
            lengths = self.training.lengths[index]
            frames = self.training.frames[index, : int(lengths.max())]
            weight = real_steps(lengths - 1, frames.shape[1] - 1).float()
            yield Chunk(frames[:, :-1], frames[:, 1:], weight, fresh=True)

    def loss(self, network: Choir, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        logits, after = network(chunk.inputs, state)
        each = functional.binary_cross_entropy_with_logits(logits, chunk.target, reduction="none").sum(-1)
        return (each * chunk.weight).sum() / chunk.weight.sum(), after

    def validate(self, network: Choir) -> float:
        return nll(network, self.validation)


@torch.no_grad()
def nll(network: Choir, pieces: Pieces) -> float:
    """Nats per predicted frame."""
    frames, lengths = pieces
    logits, _ = network(frames[:, :-1], None, lengths - 1)
    each = functional.binary_cross_entropy_with_logits(logits, frames[:, 1:], reduction="none").sum(-1)
    return float(each[real_steps(lengths - 1, each.shape[1])].mean())


def load() -> dict[str, Pieces]:
    """Training, validation and test pieces."""
    path = Path(os.environ.get("STATEWISE_DATA", "")) / "jsb_chorales" / "jsb-chorales-quarter.json.gz"
    if not path.is_file():
        raise DataError(f"jsb_chorales: no file {path}; set STATEWISE_DATA to the folder of the data sets.")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        held = json.load(file)
    return {part: roll(held[part]) for part in ("train", "valid", "test")}


def roll(pieces: Sequence[Sequence[Sequence[int]]]) -> Pieces:
    """Lists of sounding notes to zeros and ones."""
    frames = torch.zeros(len(pieces), max(map(len, pieces)), NOTES)
    for number, piece in enumerate(pieces):
        for t, chord in enumerate(piece):
            frames[number, t, [int(note) - LOWEST for note in chord]] = 1
    return Pieces(frames, torch.tensor([len(piece) for piece in pieces]))


def run(seed: int, settings: dict[str, Any], quick: bool) -> dict[str, float]:
    """Train one network; nats on both parts, and seconds of processor time."""
    pieces = load()
    began = time.process_time()
    torch.manual_seed(seed)
    network = Choir(BackboneConfig(**settings["backbone"]), settings["dropout"])
    chosen = {**settings["train"], **({"epochs": 1} if quick else {})}
    problem = NextFrame(network, pieces["train"], pieces["valid"], chosen["batch_size"])
    each = -(-len(pieces["train"].lengths) // chosen["batch_size"])
    for _ in train(problem, TrainConfig(**chosen, validate_every=each, patience=0, seed=seed)):
        pass
    return {
        "parameters": float(sum(weight.numel() for weight in network.parameters())),
        "validation": nll(network, pieces["valid"]),
        "test": nll(network, pieces["test"]),
        "cpu_seconds": time.process_time() - began,
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--validate", action="store_true", help="show no figure of the test pieces")
    parser.add_argument("--settings", default="{}", help="changes to SETTINGS as JSON, for trials")
    options = parser.parse_args()
    changes = json.loads(options.settings)
    settings = {
        key: {**value, **changes.get(key, {})} if isinstance(value, dict) else changes.get(key, value)
        for key, value in SETTINGS.items()
    }
    if options.validate:
        found = run(SEEDS[0], settings, options.quick)
        print(f"validation {found['validation']:.3f}, {found['cpu_seconds']:.0f} CPU s, {settings}")
        return
    runs = [run(seed, SETTINGS, options.quick) for seed in (SEEDS[:1] if options.quick else SEEDS)]
    test = median(each["test"] for each in runs)
    seconds = median(each["cpu_seconds"] for each in runs)
    row = Row(
        "jsb_chorales",
        f"JSB chorales, nats ({SETTINGS['backbone']['cell']}, {runs[0]['parameters']:,.0f} parameters)",
        f"< {BAR} (GRU; LSTM 8.45, TCN 8.10: Bai, Kolter and Koltun 2018)",
        f"{test:.3f} ({seconds:.0f} CPU s)",
        test < BAR,
        {"runs": runs},
    )
    write(
        "quality.jsb_chorales", [row], PROTOCOL.format(seeds=len(runs)), SETTINGS, options.quick, seeds=SEEDS
    )


if __name__ == "__main__":
    main()
