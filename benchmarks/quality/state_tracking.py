"""Which cells can keep count? Parity, and products of permutations, trained on 40 steps, read on 40 and 256.

python -m benchmarks.quality.state_tracking            all
python -m benchmarks.quality.state_tracking --task parity --cell lstm
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from benchmarks.made_up_tasks import Batch, learn, right, tagger
from benchmarks.recording import CACHE, Row, arguments, plain, write

from statewise.training import TrainConfig

NEGATIVE = {"negative_eigenvalues": True}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {  # name: cell, options
    "rnn": ("rnn", {}),
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "slstm": ("slstm", {}),
    "deltanet, negative": ("deltanet", NEGATIVE),
    "mamba, negative": ("mamba", NEGATIVE),
    "rglru, negative": ("rglru", NEGATIVE),
    "deltanet": ("deltanet", {}),
    "mamba": ("mamba", {}),
    "rglru": ("rglru", {}),
    "mingru": ("mingru", {}),
    "minlstm": ("minlstm", {}),
    "qrnn": ("qrnn", {}),
    "mlstm": ("mlstm", {}),
    "conv": ("conv", {}),
    "attention": ("attention", {}),
}
LOOPS = ("rnn", "lstm", "gru", "slstm")  # through a nonlinearity
SOME = ("lstm", "gru", "deltanet, negative", "mamba", "mingru")
# Which cells are tried, how many layers they get, and which of them theory lets follow any length.
TRIED = {"parity": tuple(VARIANTS), "S3": SOME, "A5": ("lstm", "gru", "mamba", "mingru")}
LAYERS = {"parity": 1, "S3": 2, "A5": 2}
ALLOWED = {
    "parity": (*LOOPS, "deltanet, negative", "mamba, negative", "rglru, negative"),
    "S3": (*LOOPS, "deltanet, negative"),
    "A5": LOOPS,
}
TASKS = {"parity": 2, "S3": 3, "A5": 5}  # how many things are permuted
TRAIN: dict[str, dict[str, Any]] = {
    "parity": {"steps": 1_000, "batch_size": 64, "learning_rate": 5e-3, "schedule": "cosine"},
    "S3": {"steps": 3_000, "batch_size": 64, "learning_rate": 5e-3, "schedule": "cosine"},
    "A5": {"steps": 3_000, "batch_size": 64, "learning_rate": 5e-3, "schedule": "cosine"},
}
HIDDEN = 48
RATES = {"rglru": 2e-2, "rglru, negative": 2e-2}  # starts far from where it has to go; does not learn at 5e-3
SHORT, FAR = 40, 256
SEED = 0
SOLVED = 0.99  # of the last answers
WINDOW = 16

PROTOCOL = """
At every step an element of a group is drawn, uniformly; the answer is the product of all so far. parity: two
elements; S3: the six permutations of three things; A5: the sixty even permutations of five (Merrill, Petty
and Sabharwal 2024; parity with negative eigenvalues: Grazzi et al. 2024). {hidden} units, blocks: {layers},
behind a ReLU layer, AdamW, fresh sequences of {short} steps, batch 64; updates: {steps}. Measured: the share
of right answers at the last {window} of {short} and of {far} steps, 256 sequences; solved: at least
{solved:.0%} at {short}. One seed. Theory: a diagonal linear recurrence with eigenvalues above zero cannot
follow parity at any length (Sarrof, Veitsman and Hahn 2024), nor can attention or a window; with negative
ones it can, but not groups that do not commute in one layer. Two layers of a delta rule with negative
eigenvalues can follow S3 (a dihedral group), not A5, which is not solvable; a loop through a nonlinearity can
follow all three."""


@cache
def group(task: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The table of products [N, N]: first, then second."""
    count = TASKS[task]
    elements = list(itertools.permutations(range(count)))
    if task == "A5":
        elements = [element for element in elements if _even(element)]
    place = {element: index for index, element in enumerate(elements)}
    table = [[place[tuple(b[i] for i in a)] for b in elements] for a in elements]
    return np.array(table, dtype=np.int64)


def _even(element: Sequence[int]) -> bool:
    pairs = itertools.combinations(range(len(element)), 2)
    return sum(element[i] > element[j] for i, j in pairs) % 2 == 0


def sequences(task: str, time: int, rng: np.random.Generator, count: int) -> Batch:
    """Elements, and the product of all so far at every step."""
    table = group(task)
    drawn = rng.integers(len(table), size=(count, time))
    product = np.empty_like(drawn)
    product[:, 0] = drawn[:, 0]
    for t in range(1, time):
        product[:, t] = table[product[:, t - 1], drawn[:, t]]
    inputs = np.eye(len(table), dtype=np.float32)[drawn]
    return Batch(torch.from_numpy(inputs), torch.from_numpy(product), torch.ones(count, time))


def last(batch: Batch) -> Batch:
    """Only the last answers count."""
    weight = torch.zeros_like(batch.weight)
    weight[:, -WINDOW:] = 1
    return batch._replace(weight=weight)


def run(task: str, name: str, quick: bool) -> dict[str, float]:
    """Train one cell on one task; shares of right answers near and far."""
    cell, options = VARIANTS[name]
    size = len(group(task))
    backbone = {"cell": cell, "options": options, "hidden_size": HIDDEN, "num_layers": LAYERS[task]}
    network = tagger(size, size, backbone, SEED)
    held_out = sequences(task, SHORT, np.random.default_rng(10), 256)
    chosen = {**TRAIN[task], **({"steps": 20} if quick else {})}
    chosen["learning_rate"] = RATES.get(name, chosen["learning_rate"])
    config = TrainConfig(**chosen, validate_every=250, patience=0, seed=SEED, threads=1)
    learned = learn(
        network,
        lambda rng, count: sequences(task, SHORT, rng, count),
        lambda network: 1 - right(network, held_out),
        -1.0,  # to the last step: what is right at 40 steps need not be at 256
        config,
    )
    far = last(sequences(task, FAR, np.random.default_rng(11), 256))
    return {
        "near": right(network, last(held_out)),
        "far": right(network, far),
        "steps": learned.steps,
        "cpu_seconds": learned.cpu_seconds,
    }


def measure(tasks: Sequence[str], only: str | None, quick: bool) -> dict[str, dict[str, dict[str, float]]]:
    """All runs; one that is stored already is not repeated."""
    folder = CACHE / ("quick" if quick else "") / "state_tracking"
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for task in tasks:
        for name in [only] if only else TRIED[task]:
            path = folder / f"{task}-{name.replace(', ', '-')}.json"
            if not path.is_file():
                path.write_text(json.dumps(plain(run(task, name, quick))), encoding="utf-8")
            found.setdefault(task, {})[name] = json.loads(path.read_text(encoding="utf-8"))
            print(task, name, found[task][name], flush=True)
    return found


def row(task: str, found: dict[str, dict[str, float]]) -> Row:
    """One line of the table: who solved it, and who still does far beyond what was trained."""
    near = [name for name, result in found.items() if result["near"] >= SOLVED]
    far = [name for name in near if found[name]["far"] >= SOLVED]
    wanted = [name for name in found if name in ALLOWED[task]]
    best = max((result["near"] for name, result in found.items() if name not in wanted), default=0.0)
    missed = ", ".join(name for name in wanted if name not in near)
    measured = f"solved by {', '.join(near) or 'none'}; at {FAR} steps too: {', '.join(far) or 'none'}"
    measured += f"; best of those that theory rules out: {best:.0%}"
    return Row(
        f"state_tracking_{task.lower()}",
        f"State tracking: {task}, trained and read at {SHORT} steps",
        f"solved (≥ {SOLVED:.0%}) by the cells that theory allows, by no other",
        measured + (f"; not solved by {missed}" if missed else ""),
        near == wanted,
        found,
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--task", choices=[*TASKS], help="one of them")
    parser.add_argument("--cell", choices=[*VARIANTS], help="one of them; nothing is written then")
    options = parser.parse_args()
    tasks = [options.task] if options.task else [*TASKS]
    found = measure(tasks, options.cell, options.quick)
    if options.cell or options.task:
        return
    protocol = PROTOCOL.format(
        hidden=HIDDEN,
        layers=", ".join(f"{task} {count}" for task, count in LAYERS.items()),
        short=SHORT,
        far=FAR,
        window=WINDOW,
        solved=SOLVED,
        steps=", ".join(f"{task} {chosen['steps']:,}" for task, chosen in TRAIN.items()),
    )
    settings = {"hidden_size": HIDDEN, "num_layers": LAYERS, "train": TRAIN, "learning_rates": RATES}
    rows = [row(task, results) for task, results in found.items()]
    write("quality.state_tracking", rows, protocol, settings, options.quick, seeds=[SEED])


if __name__ == "__main__":
    main()
