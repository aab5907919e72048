"""A thousand steps from cause to effect: the copying and the adding problem.

python -m benchmarks.quality.long_memory            both, about a minute
python -m benchmarks.quality.long_memory --task copy
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from benchmarks.made_up_tasks import Batch, Learned, Tagger, learn, mean_loss, right, tagger
from benchmarks.recording import Row, arguments, write
from torch import nn

from statewise.training import TrainConfig

# All that was chosen, on held-out sequences.
SETTINGS: dict[str, dict[str, Any]] = {
    "copy": {
        "backbone": {
            "cell": "lru",
            "hidden_size": 32,
            "options": {"state_size": 128, "radius_min": 0.999999, "radius_max": 1.0, "gated": False},
        },
        "fixed": ["log_decay", "log_phase", "log_scale"],  # the rotation, and γ = 1
        "train": {"steps": 2_000, "batch_size": 20, "learning_rate": 5e-3, "schedule": "cosine"},
    },
    "adding": {
        "backbone": {
            "cell": "lru",
            "hidden_size": 32,
            "options": {
                "state_size": 32,
                "radius_min": 0.99999,
                "radius_max": 1.0,
                "max_phase": 1e-4,
                "gated": False,
            },
        },
        "fixed": [],
        "train": {"steps": 3_000, "batch_size": 64, "learning_rate": 3e-3, "schedule": "cosine"},
    },
}
GAP, SYMBOLS, LETTERS = 1_000, 10, 8
BLANK, GO = LETTERS, LETTERS + 1
STEPS, SHORTEST = 1_000, 10  # of the adding problem, and of its training sequences
SEED = 0
COPIED, MSE = 0.999, 1e-3
HELD_OUT = 100

PROTOCOL = """
copy (Hochreiter and Schmidhuber 1997, as in Arjovsky, Shah and Bengio 2016): {symbols} letters of {letters},
{gap:,} blanks of which the last is a sign to go, {symbols} blanks during which the letters are to be
repeated; the answer is blank before. In training the blanks to be answered weigh a hundredth of a letter
each. Solved when {copied:.1%} of the letters of 1,000 fresh sequences are right; the mean cross-entropy is
over all steps, {baseline:.2g} for one who remembers nothing. adding: {steps:,} steps of a number uniform in 0
to 1 and a mark, which stands at one step of each half; the answer at the last step is the sum of the two
marked numbers; mean squared error of 1,000 fresh sequences, 0.167 for one who says 1; trained on batches of
lengths log-uniform from {shortest} to {steps:,}. Training on fresh sequences until held-out ones are well
below the bar, or the steps end. One seed. In copy the rotations of the LRU stay as they were drawn (radius 1,
phases uniform, γ = 1): a phase that moves by 0.001 turns the memory by a radian in 1,000 steps."""


def copying(rng: np.random.Generator, count: int) -> Batch:
    """Letters, blanks, a sign to go, blanks [B, T, 10]; blanks, then the letters."""
    time = GAP + 2 * SYMBOLS
    letters = rng.integers(LETTERS, size=(count, SYMBOLS))
    line, target = np.full((count, time), BLANK), np.full((count, time), BLANK)
    line[:, :SYMBOLS], target[:, -SYMBOLS:] = letters, letters
    line[:, -SYMBOLS - 1] = GO
    weight = torch.full((count, time), 0.01)
    weight[:, -SYMBOLS:] = 1
    inputs = torch.from_numpy(np.eye(LETTERS + 2, dtype=np.float32)[line])
    return Batch(inputs, torch.from_numpy(target), weight)


def adding(rng: np.random.Generator, count: int, time: int = STEPS) -> Batch:
    """Numbers and marks [B, T, 2]; the sum of the marked ones, which counts at the last step."""
    inputs = np.zeros((count, time, 2), dtype=np.float32)
    inputs[..., 0] = rng.random((count, time))
    rows, half = np.arange(count), time // 2
    for start, stop in ((0, half), (half, time)):
        inputs[rows, rng.integers(start, stop, size=count), 1] = 1
    target = torch.from_numpy((inputs[..., 0] * inputs[..., 1]).sum(axis=1))
    weight = torch.zeros(count, time)
    weight[:, -1] = 1
    return Batch(torch.from_numpy(inputs), target.view(-1, 1, 1).expand(-1, time, 1), weight)


def adding_of_any_length(rng: np.random.Generator, count: int) -> Batch:
    """The same, as long as drawn for the batch: log-uniform up to `STEPS`."""
    return adding(rng, count, round(SHORTEST * (STEPS / SHORTEST) ** rng.random()))


def letters_of(batch: Batch) -> Batch:
    """Only the letters count."""
    return batch._replace(weight=(batch.weight == 1).float())


def train_one(
    task: str, network: Tagger, score: Callable[[Tagger], float], enough: float, quick: bool
) -> Learned:
    """Train until held-out sequences are good enough."""
    make = {"copy": copying, "adding": adding_of_any_length}[task]
    chosen = {**SETTINGS[task]["train"], **({"steps": 4} if quick else {})}
    config = TrainConfig(**chosen, validate_every=100, patience=0, seed=SEED)
    return learn(network, make, score, enough, config)


def copy_row(quick: bool) -> Row:
    """Are the letters repeated?"""
    network = made("copy", LETTERS + 2, LETTERS + 2)
    held_out = letters_of(copying(np.random.default_rng(1), HELD_OUT))
    learned = train_one("copy", network, lambda network: 1 - right(network, held_out), 1e-4, quick)
    fresh = [copying(np.random.default_rng(seed), HELD_OUT) for seed in range(100, 110)]
    share = float(np.mean([right(network, letters_of(batch)) for batch in fresh]))
    everywhere = [batch._replace(weight=torch.ones_like(batch.weight)) for batch in fresh]
    loss = float(np.mean([mean_loss(network, batch) for batch in everywhere]))
    return Row(
        "copy_memory",
        f"Copying over {GAP:,} steps ({SETTINGS['copy']['backbone']['cell']})",
        f"solved: ≥ {COPIED:.1%} of the letters right",
        f"{share:.2%} right, cross-entropy {loss:.2g} ({learned.cpu_seconds:.0f} CPU s)",
        share >= COPIED,
        {"right": share, "cross_entropy": loss, **how(learned)},
    )


def adding_row(quick: bool) -> Row:
    """Is the sum right?"""
    network = made("adding", 2, 1)
    held_out = adding(np.random.default_rng(1), HELD_OUT)
    learned = train_one("adding", network, lambda network: mean_loss(network, held_out), MSE / 4, quick)
    fresh = [adding(np.random.default_rng(seed), HELD_OUT) for seed in range(100, 110)]
    error = float(np.mean([mean_loss(network, batch) for batch in fresh]))
    return Row(
        "adding",
        f"Adding over {STEPS:,} steps ({SETTINGS['adding']['backbone']['cell']})",
        f"mean squared error < {MSE:g}",
        f"{error:.2g} ({learned.cpu_seconds:.0f} CPU s)",
        error < MSE,
        {"mse": error, **how(learned)},
    )


def made(task: str, input_size: int, output_size: int) -> Tagger:
    """The untrained network of a task, some weights of its cells fixed."""
    network = tagger(input_size, output_size, SETTINGS[task]["backbone"], SEED)
    for name, weight in network.backbone.named_parameters():
        if name.rpartition(".")[2] in SETTINGS[task]["fixed"]:
            weight.requires_grad_(False)
            if name.endswith("log_scale"):
                nn.init.zeros_(weight)
    return network


def how(learned: Learned) -> dict[str, float]:
    """What the training took."""
    parameters = sum(weight.numel() for weight in learned.network.parameters())
    return {"updates": learned.steps, "cpu_seconds": learned.cpu_seconds, "parameters": parameters}


ROWS: dict[str, Callable[[bool], Row]] = {"copy": copy_row, "adding": adding_row}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--task", choices=[*ROWS], help="one of the two; nothing is written then")
    parser.add_argument("--backbone", default="{}", help="another backbone as JSON, for trials with --task")
    options = parser.parse_args()
    if options.task:
        SETTINGS[options.task]["backbone"] |= json.loads(options.backbone)
        print(ROWS[options.task](options.quick))
        return
    rows = [make(options.quick) for make in ROWS.values()]
    baseline = SYMBOLS * np.log(LETTERS) / (GAP + 2 * SYMBOLS)
    protocol = PROTOCOL.format(
        symbols=SYMBOLS,
        letters=LETTERS,
        gap=GAP,
        copied=COPIED,
        baseline=baseline,
        steps=STEPS,
        shortest=SHORTEST,
    )
    write("quality.long_memory", rows, protocol, SETTINGS, options.quick, seeds=[SEED])


if __name__ == "__main__":
    main()
