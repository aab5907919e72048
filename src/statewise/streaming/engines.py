"""What runs the live step: the `Engine` protocol, and ONNX Runtime as one (PyTorch: `statewise.nn.live`)."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import Any, Protocol

import numpy as np

from statewise.bundle import check_leaves
from statewise.core.errors import BundleError, MissingExtraError

EngineState = Any  # opaque to everybody but the engine that made it
Arrays = tuple[np.ndarray, ...]


class Engine(Protocol):
    """A pure step with one batch row: the same inputs and state give the same output and next state.

    A state is never changed once it was returned, so sessions and forks may share one.
    """

    @property
    def model_hash(self) -> str:
        """Names the model; a snapshot of another model is refused."""

    def initial(self) -> EngineState:
        """The state before the first observation."""

    def step(self, inputs: Arrays, state: EngineState) -> tuple[np.ndarray, EngineState]:
        """Inputs [1, ...] each to an output [1, ...] of its own memory and the next state."""

    def dump(self, state: EngineState) -> dict[str, np.ndarray]:
        """The leaves of a state by name, each [1, ...], as copies."""

    def load(self, leaves: Mapping[str, np.ndarray]) -> EngineState:
        """The inverse of `dump`, bit for bit. Raises StreamError when names, shapes or dtypes differ."""


class OnnxEngine:
    """The live step as an ONNX graph on the CPU provider: one thread, sequential, buffers bound once.

    `graph` takes `inputs` and one "state.<leaf>" per leaf of `initial` ([1, ...] each) and gives "output" and
    one "next.<leaf>" per leaf. A state is a tuple of arrays in `initial`'s order, fresh from every step.
    """

    def __init__(
        self, graph: bytes, inputs: tuple[str, ...], initial: Mapping[str, np.ndarray], model_hash: str
    ) -> None:
        self._initial = {name: np.ascontiguousarray(leaf) for name, leaf in initial.items()}
        self._model_hash = model_hash
        self._session = _session(graph)
        self._lock = Lock()  # the bound buffers serve one step at a time
        self._bind(inputs)

    @property
    def model_hash(self) -> str:
        return self._model_hash

    def initial(self) -> Arrays:
        return tuple(leaf.copy() for leaf in self._initial.values())

    def step(self, inputs: Arrays, state: Arrays) -> tuple[np.ndarray, Arrays]:
        with self._lock:
            for buffer, value in zip(self._inputs, inputs, strict=True):
                buffer[...] = value
            for buffer, value in zip(self._before, state, strict=True):
                buffer[...] = value
            self._session.run_with_iobinding(self._binding)
            return self._output.copy(), tuple([leaf.copy() for leaf in self._after])

    def dump(self, state: Arrays) -> dict[str, np.ndarray]:
        return {name: leaf.copy() for name, leaf in zip(self._initial, state, strict=True)}

    def load(self, leaves: Mapping[str, np.ndarray]) -> Arrays:
        check_leaves(leaves, self._initial)
        return tuple(np.array(leaves[name], order="C") for name in self._initial)

    def _bind(self, inputs: tuple[str, ...]) -> None:
        taken = {value.name: value for value in self._session.get_inputs()}
        given = {value.name: value for value in self._session.get_outputs()}
        before = {f"state.{name}": leaf for name, leaf in self._initial.items()}
        after = {f"next.{name}": leaf for name, leaf in self._initial.items()}
        if set(taken) != {*inputs, *before} or set(given) != {"output", *after}:
            raise BundleError(
                f"step.onnx: takes {sorted(taken)} and gives {sorted(given)}, "
                f"want {sorted({*inputs, *before})} and {sorted({'output', *after})}."
            )
        self._inputs = [_buffer(taken[name]) for name in inputs]
        self._before = [leaf.copy() for leaf in before.values()]
        self._after = [leaf.copy() for leaf in after.values()]
        self._output = _buffer(given["output"])
        self._binding = self._session.io_binding()
        for name, array in zip([*inputs, *before], [*self._inputs, *self._before], strict=True):
            self._binding.bind_cpu_input(name, array)
        for name, array in zip(["output", *after], [self._output, *self._after], strict=True):
            self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)


def _session(graph: bytes) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("the ONNX engine", "onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has its own tree, without a common public root
        lines = str(error).splitlines() or ["no reason given"]
        raise BundleError(f"step.onnx: ONNX Runtime cannot load it: {lines[0][:160]}") from None


_NUMPY = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def _buffer(value: Any) -> np.ndarray:
    """Zeros of one batch row for a graph input or output whose other axes are fixed."""
    first, *rest = value.shape or [None]
    if not all(isinstance(size, int) for size in rest) or (isinstance(first, int) and first != 1):
        raise BundleError(
            f"step.onnx: '{value.name}' has shape {value.shape}, want a batch axis and fixed axes."
        )
    if value.type not in _NUMPY:
        raise BundleError(f"step.onnx: '{value.name}' is {value.type}, want one of {', '.join(_NUMPY)}.")
    return np.zeros((1, *rest), dtype=_NUMPY[value.type])
