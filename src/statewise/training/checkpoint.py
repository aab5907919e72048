"""A checkpoint: all of a run in one safetensors file with a JSON header, written whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from statewise import state as states
from statewise.core.errors import BundleError, ConfigError
from statewise.training.config import seconds
from statewise.training.order import initial_state
from statewise.training.run import Counters, Run
from statewise.training.weights import load_weights

FORMAT = "statewise checkpoint 1"
WITHOUT_EFFECT = ("checkpoint_every",)  # settings that may differ on resume: they do not touch the weights


class Snapshot(NamedTuple):
    """What a file holds: plain values, and tensors named "weights.…", "optimizer.…", "carried.…", …"""

    values: dict[str, Any]
    tensors: dict[str, Tensor]


def capture(run: Run) -> Snapshot:
    """The run as it stands between two steps."""
    carried = run.carried
    values = {
        "format": FORMAT,
        "torch": torch.__version__,
        "config": asdict(run.config),
        "counters": asdict(run.counters),
        "order": run.order_at_epoch,
        "lanes": None if carried is None else states.batch_size(carried) if states.tensors(carried) else 0,
    }
    tensors = _prefixed("weights", run.network.state_dict())
    tensors |= _prefixed("optimizer", dict(_optimizer_tensors(run)))
    tensors |= _prefixed("random", {str(i): state for i, state in enumerate(run.random.state)})
    tensors |= _prefixed("best", run.best or {})
    if run.average is not None:
        tensors |= _prefixed("average", run.average.leaves(run.names))
    if carried is not None:
        tensors |= _prefixed("carried", states.named(carried))
    return Snapshot(values, tensors)


def restore(run: Run, snapshot: Snapshot, where: str) -> None:
    """Put `snapshot` into a fresh run of the same network and config; ConfigError names a difference."""
    values, tensors = snapshot
    _same_config(values["config"], asdict(run.config), where)
    _same_network(_part(tensors, "weights"), run.network.state_dict(), where)
    load_weights(run.network, _part(tensors, "weights"))
    _load_optimizer(run, _part(tensors, "optimizer"))
    run.best = _part(tensors, "best") or None
    if run.average is not None:
        run.average.load(run.names, _part(tensors, "average"))
    run.counters = Counters(**values["counters"])
    run.order.bit_generator.state = run.order_at_epoch = values["order"]
    if values["lanes"] is not None:
        with torch.no_grad(), run.random:  # a fresh state is only the template; what it draws is undone below
            template = initial_state(run.network, values["lanes"])
        run.carried = states.from_named(template, _part(tensors, "carried"))
    run.random.state = tuple(state.cpu() for _, state in sorted(_part(tensors, "random").items()))


def write(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot so that a reader, or a crash, finds either the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(save(snapshot.tensors, {"statewise": json.dumps(snapshot.values)}))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path, device: torch.device) -> Snapshot:
    """Read a snapshot; nothing of it is executed. Raises BundleError for a damaged or foreign file."""
    data = path.read_bytes()
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        values = json.loads(header["__metadata__"]["statewise"])
        if values["format"] != FORMAT:
            raise BundleError(f"{path}: got format '{values['format']}', want '{FORMAT}'.")
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: not a Statewise checkpoint, or a damaged one ({error}).") from error
    # Clones, because tensors inside the file's bytes are not aligned and may sum differently.
    return Snapshot(values, {name: tensor.clone().to(device) for name, tensor in tensors.items()})


class Saver:
    """Saves a run now and then to `path`; does nothing when there is none."""

    def __init__(self, run: Run, path: str | Path | None) -> None:
        self._run = run
        self._path = None if path is None else Path(path)
        every = run.config.checkpoint_every
        self._steps = every if isinstance(every, int) else 0
        self._seconds = math.inf if isinstance(every, int) else seconds(every, "checkpoint_every")
        self._saved_step, self._saved_at = -1, monotonic()

    def resume(self) -> None:
        """Continue from the file, if it is there."""
        if self._path is not None and self._path.exists():
            restore(self._run, read(self._path, self._run.device), str(self._path))
            self._saved_step = self._run.counters.step

    def save_if_due(self) -> None:
        """Save when the interval has passed or the run has ended."""
        counters = self._run.counters
        by_steps = self._steps > 0 and counters.step % self._steps == 0
        if counters.stopped or by_steps or monotonic() - self._saved_at >= self._seconds:
            self.save()

    def save(self) -> None:
        """Save, unless this very step is saved already."""
        if self._path is not None and self._saved_step != self._run.counters.step:
            write(self._path, capture(self._run))
            self._saved_step, self._saved_at = self._run.counters.step, monotonic()


def _same_config(saved: Mapping[str, Any], wanted: Mapping[str, Any], where: str) -> None:
    for key in wanted:
        if key not in WITHOUT_EFFECT and saved.get(key) != wanted[key]:
            raise ConfigError(
                f"{where}: {key} was {saved.get(key)!r} and is now {wanted[key]!r}. "
                "Continue with the same settings, or give another checkpoint path to start anew."
            )


def _same_network(saved: Mapping[str, Tensor], network: Mapping[str, Tensor], where: str) -> None:
    for name in [*network, *saved]:
        got, want = (list(w[name].shape) if name in w else "none" for w in (saved, network))
        if got != want:
            raise ConfigError(f"{where}: weight {name} has shape {got}, the network wants {want}.")


def _optimizer_tensors(run: Run) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in zip(run.names, run.parameters, strict=True):
        for key, value in run.optimizer.state.get(parameter, {}).items():
            yield f"{name}/{key}", value


def _load_optimizer(run: Run, tensors: Mapping[str, Tensor]) -> None:
    state = run.optimizer.state_dict()
    names = dict(zip(map(id, run.parameters), run.names, strict=True))
    ordered = [names[id(p)] for group in run.optimizer.param_groups for p in group["params"]]
    for path, tensor in tensors.items():
        name, key = path.rsplit("/", 1)
        state["state"].setdefault(ordered.index(name), {})[key] = tensor
    run.optimizer.load_state_dict(state)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Clones, because the format refuses tensors that share memory (tied weights) or are views.
    return {f"{prefix}.{name}": tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {name.removeprefix(start): t for name, t in tensors.items() if name.startswith(start)}
