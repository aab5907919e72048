"""What every trained model is and does, whatever its task."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import nn

from statewise.bundle import Bundle, TensorSpec, write_bundle
from statewise.core.config import to_mapping
from statewise.core.errors import ConfigError, lookup
from statewise.core.native import extension
from statewise.nn.backbone import BackboneConfig
from statewise.nn.live import LiveStep, TorchEngine, export_onnx
from statewise.nn.native_step import step_program, verified
from statewise.recurrence import Recurrence
from statewise.rows.records import Records
from statewise.streaming.engines import Engine
from statewise.streaming.items import ItemStream
from statewise.streaming.native_engine import NativeEngine
from statewise.streaming.opening import onnx_engine
from statewise.streaming.replay import record, record_answers, verify, verify_answers
from statewise.streaming.stream import Stream
from statewise.streaming.streams import Streams

EngineName = Literal["auto", "native", "onnx", "torch"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Model(ABC):
    """A trained model; shared and immutable. Make one with `sw.fit` or `sw.load`.

    `network` is all that was trained (of several `members`, all of them); `samples` are rows with the answers
    given when the model was made, replayed wherever it is loaded.
    """

    kind: ClassVar[str]  # what a bundle names, as its task does

    task: Any
    backbone: BackboneConfig
    codec: Any
    network: nn.Module
    training: Mapping[str, Any] = field(default_factory=dict)  # effective settings and outcome of training
    samples: tuple[Mapping[str, Any], ...] = ()
    step_onnx: bytes | None = field(default=None, repr=False)
    members: int = 1  # networks whose answers are averaged

    @property
    @abstractmethod
    def live(self) -> Recurrence:
        """The network as the recurrence that a live session steps. ConfigError where it reads the future."""

    @property
    @abstractmethod
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Name, shape of one row and dtype of what `live` reads at a step, in order."""

    @abstractmethod
    def predict(self, data: Any) -> Any:
        """The model's answers to rows: a frame of the library of `data`, or a list for a list."""

    @property
    def parts(self) -> list[nn.Module]:
        """What was trained, one by one: the members."""
        return list(self.network.get_submodule("members").children())

    @property
    def streams_live(self) -> bool:
        """Whether the model can run one observation at a time."""
        try:
            return self.live is not None
        except ConfigError:
            return False

    @property
    def settings(self) -> dict[str, Any]:
        """What a bundle stores of the model beyond its codec and weights, as plain values."""
        return {
            "task": to_mapping(self.task),
            "backbone": to_mapping(self.backbone),
            "members": self.members,
            "training": dict(self.training),
        }

    @property
    def quantiles(self) -> tuple[float, ...]:
        """Quantile levels in the live step's output; none for most kinds."""
        return ()

    def engine(self, name: EngineName = "auto") -> Engine:
        """What computes a live step: compiled kernels ("native"), ONNX Runtime ("onnx") or "torch".

        "auto" takes the first of these that is at hand: the kernels where they are installed and hold all
        parts of the step, the graph where the bundle brought it along. A graph is exported when first asked
        for, which takes seconds. Raises ConfigError for "native" where it cannot be had, and for a model
        that cannot run live.
        """
        lookup(dict.fromkeys(("auto", "native", "onnx", "torch")), name, "engine")
        live = self.live
        if name == "native" or (name == "auto" and self._native):
            return NativeEngine(self._program, self.bundle.model_hash)
        if name == "onnx" or (name == "auto" and self.step_onnx is not None and find_spec("onnxruntime")):
            return onnx_engine(self._bundle_with_step)
        return TorchEngine(live, self.bundle.model_hash)

    def stream(self, name: str = "", engine: EngineName = "auto") -> Stream[Any]:
        """A live session: `update(item)` gives an answer in constant time and memory.

        Raises ConfigError for a model that cannot run live.
        """
        return ItemStream(self.codec, self.engine(engine), name)

    def items(self, data: Any) -> list[list[Any]]:
        """The rows of `data` as the items that a live source sends of them, one list per sequence."""
        raise ConfigError(f"items: a model of kind '{self.kind}' does not read items one at a time.")

    def answered(self, rows: Records) -> list[list[int]]:
        """The numbers of the rows behind each answer of `predict`: one, unless a sequence is many rows."""
        return [[row] for row in range(len(rows))]

    def streams(self, engine: EngineName = "auto") -> Streams[Any]:
        """Live sessions of many sequences, by name."""
        return Streams(self.stream(engine=engine))

    def restore(self, snapshot: bytes, engine: EngineName = "auto") -> Stream[Any]:
        """The live session that `Stream.snapshot` wrote, to go on bit for bit."""
        stream = self.stream(engine=engine)
        stream.restore(snapshot)
        return stream

    def answers(self, rows: list[Any]) -> list[Any]:
        """One JSON-plain answer per row: what is kept as samples where the model cannot stream."""
        return list(self.predict(rows))

    def with_samples(self, rows: Sequence[Any]) -> Self:
        """The model with sample rows and its answers to them, to be replayed wherever it is loaded.

        The rows are those of one live session, or rows to predict where the model cannot run live.
        """
        if self.streams_live:
            return replace(self, samples=record(self.stream(engine="torch"), rows))
        return replace(self, samples=record_answers(self.answers, rows))

    def verify(self) -> None:
        """Replay the sample rows. Raises BundleError where an answer differs from the saver's."""
        if self.streams_live:
            verify(self.stream(engine="torch"), self.samples)
        else:
            verify_answers(self.answers, self.samples)

    def save(self, path: str | os.PathLike[str], onnx: bool | None = None) -> Path:
        """Write the bundle (json, safetensors, card, sample rows). `onnx`: with the live step as a graph,
        by default where the extra `onnx` is installed and the state has one size. Never pickle."""
        wanted = self._exportable if onnx is None else onnx
        bundle = self._bundle_with_step if wanted else replace(self.bundle, step_onnx=None)
        write_bundle(path, bundle)
        return Path(path)

    @cached_property
    def bundle(self) -> Bundle:
        """The model as plain values and arrays."""
        live = self.streams_live
        return Bundle(
            kind=self.kind,
            config=self.settings,
            codec=self.codec.to_json(),
            quantiles=self.quantiles,
            weights={name: tensor.numpy().copy() for name, tensor in self.network.state_dict().items()},
            inputs=self.inputs if live else (),
            state=self._live_step.initial_arrays() if live else {},
            samples=self.samples,
            step_onnx=self.step_onnx,
        )

    @property
    def _live_step(self) -> LiveStep:
        return LiveStep(self.live, [spec.name for spec in self.inputs])

    @property
    def _exportable(self) -> bool:
        if find_spec("onnxscript") is None or not self.streams_live:
            return False
        return not self._live_step.growing

    @cached_property
    def _bundle_with_step(self) -> Bundle:
        if self.bundle.step_onnx is not None:
            return self.bundle
        examples = [
            torch.zeros((1, *spec.shape), dtype=getattr(torch, spec.dtype)) for spec in self.bundle.inputs
        ]
        return replace(self.bundle, step_onnx=export_onnx(self._live_step, examples))

    @cached_property
    def _program(self) -> bytes:
        inputs = {spec.name: spec.shape for spec in self.inputs}
        ids = [spec.name for spec in self.inputs if spec.dtype == "int64"]
        return verified(step_program(self.live, inputs, ids=ids), self.live, inputs)

    @cached_property
    def _native(self) -> bool:
        """Whether the compiled kernels can take the live step."""
        try:
            return extension() is not None and bool(self._program)
        except ConfigError:
            return False
