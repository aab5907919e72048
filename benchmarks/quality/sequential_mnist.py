"""MNIST read pixel by pixel: 784 steps of one number each, in the order of the page or in a shuffled one.

python -m benchmarks.quality.sequential_mnist       both, each from where it was left; then the result
python -m benchmarks.quality.sequential_mnist --task permuted
python -m benchmarks.quality.sequential_mnist --task permuted --validate     no look at the test images
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from benchmarks.recording import CACHE, Row, arguments, write
from torch import Tensor, nn
from torch.nn import functional

from statewise import state as states
from statewise.core.config import to_mapping
from statewise.core.errors import DataError
from statewise.data.chunks import Chunk
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.recurrence import Recurrence, last_real, zero_padding
from statewise.state import State
from statewise.training import TrainConfig, train

# All that was chosen, on the held-out training images. `mean`: the answer reads the mean of all outputs.
SETTINGS: dict[str, dict[str, Any]] = {
    "sequential": {
        "backbone": {"cell": "s5", "hidden_size": 64, "num_layers": 4, "options": {"state_size": 64}},
        "mean": True,
        "train": {"epochs": 6, "batch_size": 50, "learning_rate": 4e-3, "weight_decay": 0.05},
    },
    "permuted": {
        "backbone": {
            "cell": "lmu",
            "hidden_size": 200,
            "residual": False,
            "options": {"channels": 1, "state_size": 256, "theta": 784.0},
        },
        "mean": False,
        "train": {"epochs": 12, "batch_size": 100, "learning_rate": 3e-3, "weight_decay": 0.05},
    },
}
PIXELS, CLASSES = 784, 10
VALIDATION = 5_000  # of the 60,000 training images, held out
PERMUTATION_SEED = 0
SEED = 0
BATCH = 100  # of images that are only read
MEMORY = "backbone.0.memory"  # the Legendre memory in the state
BARS = {"sequential": 98.5, "permuted": 96.0}
LSTM, TCN = {"sequential": 87.2, "permuted": 85.7}, {"sequential": 99.0, "permuted": 97.2}
WRITTEN = 2.0  # what one standard deviation of a pixel writes into the Legendre memory

PROTOCOL = """
MNIST as 784 steps of one standardised pixel, in the order of the page, or in one fixed shuffled order for all
images (numpy default_rng({seed})). 55,000 training images, 5,000 held out (all choices, and the best weights
of a run), the official 10,000 test images, looked at once at the end of the run whose result stands here. No
augmentation. The network is causal and reads one pixel a step. permuted: the Legendre memory is fixed and
what a pixel writes is not trained, so the memory before the last pixel, which is linear in the pixels, is
computed once for every image and only the readout is trained; test answers come from reading the whole
sequence. CPU seconds: processor time of training, validations included."""


class ReaderState(NamedTuple):
    """What is remembered of an image so far."""

    backbone: State
    total: Tensor  # [B, H], sum of the outputs
    count: Tensor  # [B, 1], pixels seen


class Reader(Recurrence):
    """Pixels [B, T, 1] to logits [B, T, 10] after each: from the newest output, or the mean of all so far."""

    def __init__(self, backbone: BackboneConfig, mean: bool) -> None:
        super().__init__()
        self.backbone = Backbone(1, backbone)
        self.mean = mean
        self.norm = nn.LayerNorm(backbone.hidden_size)
        self.head = nn.Linear(backbone.hidden_size, CLASSES)

    def initial_state(self, batch: int) -> ReaderState:
        zero = self.head.weight.new_zeros(batch, self.backbone.hidden_size)
        return ReaderState(self.backbone.initial_state(batch), zero, zero[:, :1])

    def step(self, x: Tensor, state: ReaderState) -> tuple[Tensor, ReaderState]:
        y, backbone = self.backbone.step(x, state.backbone)
        total, count = state.total + y, state.count + 1
        return self._logits(total / count if self.mean else y), ReaderState(backbone, total, count)

    def forward(
        self, x: Tensor, state: ReaderState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, ReaderState]:
        state = self.initial_state(x.shape[0]) if state is None else state
        if x.shape[0] * x.shape[1] == 0:
            return x.new_zeros(*x.shape[:2], CLASSES), state
        y, backbone = self.backbone(x, state.backbone, lengths)
        totals = state.total.unsqueeze(1) + y.cumsum(dim=1)
        counts = state.count.unsqueeze(1) + torch.arange(1, x.shape[1] + 1).view(1, -1, 1).to(y)
        logits = self._logits(totals / counts if self.mean else y)
        after = (last_real(totals, state.total, lengths), last_real(counts, state.count, lengths))
        return zero_padding(logits, lengths), ReaderState(backbone, *after)

    def answer(self, x: Tensor) -> Tensor:
        """The logits [B, 10] after the last pixel, as `forward` gives them there."""
        y, _ = self.backbone(x)
        return self._logits(y.mean(dim=1) if self.mean else y[:, -1])

    def _logits(self, seen: Tensor) -> Tensor:
        logits: Tensor = self.head(self.norm(seen))
        return logits


@dataclass(frozen=True)
class Images:
    """Pixels [N, 784], standardised by the training images, and labels [N]."""

    pixels: Tensor
    labels: Tensor

    def part(self, index: Any) -> Images:
        return Images(self.pixels[index], self.labels[index])


class WholeImages:
    """Which digit? The cross-entropy after the last pixel; the score is the error on held-out images."""

    def __init__(self, network: Reader, images: Images, held_out: Images, batch_size: int) -> None:
        self.network, self.images, self.held_out, self.batch_size = network, images, held_out, batch_size

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        order = torch.from_numpy(rng.permutation(len(self.images.labels)))
        for index in order.split(self.batch_size):
            batch = self.images.part(index)
            labels = batch.labels.unsqueeze(1).expand(-1, PIXELS)
            weight = torch.zeros(len(index), PIXELS)
            weight[:, -1] = 1
            yield Chunk(batch.pixels.unsqueeze(-1), labels, weight, fresh=True)

    def loss(self, network: Reader, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        return functional.cross_entropy(network.answer(chunk.inputs), chunk.target[:, -1]), state

    def validate(self, network: Reader) -> float:
        return 1 - accuracy(network, self.held_out) / 100


class LastPixels:
    """The same for a memory that is not trained: all but the last step of every image is done beforehand."""

    def __init__(self, network: Reader, images: Images, held_out: Images, batch_size: int) -> None:
        self.network, self.batch_size = network, batch_size
        self.images, self.held_out = images, held_out
        self.before, self.before_held_out = (_before_last(network, part) for part in (images, held_out))

    def epoch(self, rng: np.random.Generator) -> Iterator[Chunk]:
        order = torch.from_numpy(rng.permutation(len(self.images.labels)))
        for index in order.split(self.batch_size):
            last, weight = self.images.pixels[index, -1:], torch.ones(len(index), 1)
            # The memories ride along as an input: a state would be the training loop's to make.
            before = states.map_state(lambda leaf: leaf.unsqueeze(1), states.take(self.before, index))
            yield Chunk((last.unsqueeze(-1), before), self.images.labels[index, None], weight, fresh=True)

    def loss(self, network: Reader, chunk: Chunk, state: State) -> tuple[Tensor, State]:
        last, before = states.map_state(lambda leaf: leaf.squeeze(1), chunk.inputs)
        return functional.cross_entropy(network.step(last, before)[0], chunk.target[:, 0]), state

    def validate(self, network: Reader) -> float:
        logits, _ = network.step(self.held_out.pixels[:, -1:], self.before_held_out)
        return float((logits.argmax(dim=1) != self.held_out.labels).float().mean())


@torch.no_grad()
def _before_last(network: Reader, images: Images) -> State:
    """The state before the last pixel of every image, of a memory that is linear in the pixels.

    So what each pixel alone leaves in it says all; that is had from the network itself.
    """
    alone = torch.eye(PIXELS - 1).unsqueeze(-1).split(BATCH)
    # Copies: a state may be a view of all that the memory went through.
    memory = torch.cat([states.named(network(pixels)[1])[MEMORY].clone() for pixels in alone])
    start = network.initial_state(len(images.labels))
    written = (images.pixels[:, :-1] @ memory.flatten(1)).view(-1, *memory.shape[1:])
    return states.from_named(start, {**states.named(start), MEMORY: written})


@torch.no_grad()
def accuracy(network: Reader, images: Images) -> float:
    """Per cent of images whose digit is found."""
    hits = 0
    for pixels, labels in zip(images.pixels.split(BATCH), images.labels.split(BATCH), strict=True):
        hits += int((network.answer(pixels.unsqueeze(-1)).argmax(dim=1) == labels).sum())
    return 100 * hits / len(images.labels)


def load(permuted: bool) -> tuple[Images, Images, Images]:
    """Training, held-out and test images."""
    path = Path(os.environ.get("STATEWISE_DATA", "")) / "mnist" / "mnist.npz"
    if not path.is_file():
        raise DataError(
            f"mnist: no file {path}; set STATEWISE_DATA to the folder that holds mnist/mnist.npz."
        )
    held = np.load(path)
    order = np.random.default_rng(PERMUTATION_SEED).permutation(PIXELS) if permuted else slice(None)
    pixels = {part: held[f"x_{part}"].reshape(-1, PIXELS)[:, order] / 255 for part in ("train", "test")}
    mean, spread = pixels["train"].mean(), pixels["train"].std()
    both = [
        Images(
            torch.from_numpy(((pixels[part] - mean) / spread).astype(np.float32)),
            torch.from_numpy(held[f"y_{part}"].astype(np.int64)),
        )
        for part in ("train", "test")
    ]
    whole, test = both
    shuffled = np.random.default_rng(0).permutation(len(whole.labels))
    return whole.part(shuffled[VALIDATION:]), whole.part(shuffled[:VALIDATION]), test


def reader(task: str) -> Reader:
    """The untrained network of a task."""
    torch.manual_seed(SEED)
    chosen = SETTINGS[task]
    network = Reader(BackboneConfig(**chosen["backbone"]), chosen["mean"])
    if chosen["backbone"]["cell"] == "lmu":
        memory: Any = network.backbone.blocks[0].mixer
        nn.init.constant_(memory.write_weight, WRITTEN).requires_grad_(False)
        memory.write_bias.requires_grad_(False)
    return network


def run(task: str, folder: Path, validate: bool, quick: bool) -> dict[str, Any]:
    """Train, or go on training, and score; `folder` holds checkpoints and the processor time so far."""
    chosen = SETTINGS[task]
    images, held_out, test = load(task == "permuted")
    if quick:
        images, held_out, test = (part.part(slice(0, 200)) for part in (images, held_out, test))
    began = time.process_time()
    network = reader(task)
    whole = chosen["backbone"]["cell"] != "lmu"
    batch_size = chosen["train"]["batch_size"]
    problem = (WholeImages if whole else LastPixels)(network, images, held_out, batch_size)
    each = -(-len(images.labels) // batch_size)
    extra = {"validate_every": each, "patience": 0, "threads": 1, "seed": SEED}
    config = TrainConfig(**chosen["train"], **extra)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{task}.json"
    earlier = json.loads(log.read_text(encoding="utf-8")) if log.is_file() else {"seconds": 0.0, "curve": []}
    spent, curve = earlier["seconds"], earlier["curve"]
    for progress in train(problem, config, folder / f"{task}.ckpt"):
        if progress.validation is not None:
            curve.append(100 * (1 - progress.validation))
            print(f"{task}: epoch {progress.epoch + 1}, held out {curve[-1]:.2f} %", flush=True)
        if progress.step % 50 == 0 or progress.stopped:
            now = {"seconds": spent + time.process_time() - began, "curve": curve}
            log.write_text(json.dumps(now), encoding="utf-8")
    found = {
        "parameters": sum(weight.numel() for weight in network.parameters()),
        "trained_parameters": sum(w.numel() for w in network.parameters() if w.requires_grad),
        "cpu_seconds": json.loads(log.read_text(encoding="utf-8"))["seconds"],
        "held_out": accuracy(network, held_out),
        "held_out_by_epoch": curve,
        "train": to_mapping(config),
    }
    return found if validate else {**found, "test": accuracy(network, test)}


def row(task: str, found: dict[str, Any]) -> Row:
    """One line of the table."""
    size, seconds = found["parameters"], found["cpu_seconds"]
    cell = SETTINGS[task]["backbone"]["cell"]
    return Row(
        f"{task}_mnist",
        f"{task.capitalize()} MNIST, 784 steps, test accuracy ({cell}, {size:,} parameters)",
        f"≥ {BARS[task]} % (at 70k: LSTM {LSTM[task]}, TCN {TCN[task]}: Bai, Kolter and Koltun 2018)",
        f"{found['test']:.2f} % ({seconds:,.0f} CPU s)",
        found["test"] >= BARS[task],
        found,
    )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--task", choices=[*SETTINGS], help="one of the two")
    parser.add_argument("--validate", action="store_true", help="no look at the test images, nothing stored")
    options = parser.parse_args()
    tasks = [options.task] if options.task else [*SETTINGS]
    folder = CACHE / ("quick" if options.quick else "") / "sequential_mnist"
    for task in tasks:
        result(task, folder, options.validate, options.quick)
    if options.validate or options.task:
        return
    rows = [row(task, result(task, folder, False, options.quick)) for task in SETTINGS]
    protocol = PROTOCOL.format(seed=PERMUTATION_SEED)
    write("quality.sequential_mnist", rows, protocol, SETTINGS, options.quick)


def result(task: str, folder: Path, validate: bool, quick: bool) -> dict[str, Any]:
    """What `run` found, from the file where it stands if it does."""
    path = folder / f"{task}.result.json"
    if not path.is_file() or validate:
        found = run(task, folder, validate, quick)
        print(f"{task}: held out {found['held_out']:.2f} %, {found['cpu_seconds']:.0f} CPU s")
        if validate:
            return found
        path.write_text(json.dumps(found), encoding="utf-8")
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return kept


if __name__ == "__main__":
    main()
