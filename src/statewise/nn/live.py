"""The live step: a recurrence's `step` as a function of flat tensors, in torch or as one ONNX graph.

Names are stable: the inputs as given, "state.<leaf>" and "next.<leaf>" for the leaves of
`statewise.state.named`, and "output".
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from statewise import state as states
from statewise.bundle import check_leaves
from statewise.core.errors import MissingExtraError, ShapeError
from statewise.ops.threads import is_small, one_thread
from statewise.recurrence import Recurrence
from statewise.state import State

OUTPUT = "output"
MAX_BATCH = 4096


class LiveStep(nn.Module):
    """`forward(*inputs, *state_leaves) -> (output, *next_leaves)` of a frozen copy of `recurrence`.

    `inputs` names the observation tensors in order; with one name the recurrence's `step` gets that tensor
    itself, with several a tuple of them.
    """

    def __init__(self, recurrence: Recurrence, inputs: Sequence[str] = ("x",)) -> None:
        super().__init__()
        self.recurrence = frozen(recurrence)
        self.inputs = tuple(inputs)
        self._template = self.recurrence.initial_state(1)
        self.leaves = tuple(states.named(self._template))
        self.growing = states.growing_leaves(self._template)

    def initial_leaves(self, batch: int = 1) -> tuple[Tensor, ...]:
        """The leaves of the initial state, [batch, ...] each, in the order of `leaves`."""
        return tuple(states.tensors(self.recurrence.initial_state(batch)))

    def initial_arrays(self) -> dict[str, np.ndarray]:
        """The initial state of one row, leaf name to array [1, ...]: what a bundle stores."""
        leaves = zip(self.leaves, self.initial_leaves(), strict=True)
        return {name: leaf.detach().numpy().copy() for name, leaf in leaves}

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Inputs and state leaves, [B, ...] each, to the output and the next state leaves."""
        count = len(self.inputs)
        inputs, leaves = tensors[:count], tensors[count:]
        if len(leaves) != len(self.leaves):
            raise ShapeError(
                f"live step: got {len(tensors)} tensors, want {count} inputs "
                f"and {len(self.leaves)} state leaves."
            )
        state = states.from_named(self._template, dict(zip(self.leaves, leaves, strict=True)))
        x: Any = inputs[0] if count == 1 else inputs
        output, after = self.recurrence.step(x, state)
        return (output, *states.tensors(after))


class TorchEngine:
    """A recurrence as an `Engine`: one row, inference mode, a copy that later training does not move."""

    def __init__(self, recurrence: Recurrence, model_hash: str) -> None:
        self._recurrence = frozen(recurrence)
        self._model_hash = model_hash
        self._small = is_small(self._recurrence)
        with torch.inference_mode():
            self._initial = self._recurrence.initial_state(1)

    @property
    def model_hash(self) -> str:
        return self._model_hash

    def initial(self) -> State:
        with torch.inference_mode():
            return states.map_state(torch.clone, self._initial)

    def step(self, inputs: tuple[np.ndarray, ...], state: State) -> tuple[np.ndarray, State]:
        tensors = [_tensor(array) for array in inputs]
        x: Any = tensors[0] if len(tensors) == 1 else tuple(tensors)
        with torch.inference_mode(), one_thread(self._small):
            output, after = self._recurrence.step(x, state)
        return output.numpy(), after

    def dump(self, state: State) -> dict[str, np.ndarray]:
        return {name: leaf.numpy().copy() for name, leaf in states.named(state).items()}

    def load(self, leaves: Mapping[str, np.ndarray]) -> State:
        check_leaves(leaves, self._expected(leaves))
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(np.array(leaf, order="C")) for name, leaf in leaves.items()}
            return states.from_named(self._initial, tensors)

    def _expected(self, leaves: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The initial leaves, but those that grow as long as they come."""
        want = self.dump(self._initial)
        for name in states.growing_leaves(self._initial) & set(leaves):
            first, _, *rest = want[name].shape
            want[name] = np.empty((first, *leaves[name].shape[1:2], *rest), want[name].dtype)
        return want


def _tensor(array: np.ndarray) -> Tensor:
    """The array as a tensor, shared where torch may: it wants memory that can be written."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def frozen(recurrence: Recurrence) -> Recurrence:
    """A copy on the CPU in evaluation mode whose parameters take no gradient."""
    twin = copy.deepcopy(recurrence).cpu().eval()
    return twin.requires_grad_(False)


def export_onnx(live: LiveStep, inputs: Sequence[Tensor], batch: Literal["any", "one"] = "any") -> bytes:
    """`live` as one ONNX graph with explicit state in and out, from example `inputs` ([B, ...] each).

    The batch axis is free with batch="any" (a network whose step fixes the batch needs "one"). Takes a few
    seconds. Raises MissingExtraError without the extra `onnx`, ShapeError when tracing the network fails or
    its state grows (the graph's buffers have one size).
    """
    if live.growing:
        raise ShapeError(
            f"export: the state grows with every step ({', '.join(sorted(live.growing))}), a graph's has one "
            "size. Give attention a window, or stream it with engine='torch'."
        )
    rows = 2 if batch == "any" else 1
    tensors = [tensor.detach().cpu()[:1].expand(rows, *tensor.shape[1:]).clone() for tensor in inputs]
    example = (*tensors, *(leaf.clone() for leaf in live.initial_leaves(rows)))
    axis = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    with _quiet(), torch.no_grad():
        program = _exported(
            live.eval(),
            example,
            input_names=[*live.inputs, *(f"state.{leaf}" for leaf in live.leaves)],
            output_names=[OUTPUT, *(f"next.{leaf}" for leaf in live.leaves)],
            dynamic_shapes=(tuple({0: axis} for _ in example),) if batch == "any" else None,
        )
        return _stripped(program.model_proto)


def _exported(live: LiveStep, example: tuple[Tensor, ...], **names: Any) -> Any:
    try:
        import onnxscript  # noqa: F401  (torch's exporter needs it and says so less plainly)
    except ImportError:
        raise MissingExtraError("export to ONNX", "onnxscript", "onnx") from None
    try:
        return torch.onnx.export(live, example, dynamo=True, verbose=False, **names)
    except Exception as error:  # the exporter wraps whatever the tracing of a network raises
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise ShapeError(
            f"export: the live step cannot be written as an ONNX graph: {lines[-1][:200]}"
        ) from error


def _stripped(model: Any) -> bytes:
    """The graph's bytes without the exporter's notes, which hold source lines and paths of this machine."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.producer_version = ""
    return bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _quiet() -> Iterator[None]:
    """Mute what the exporter says about its internals: missing torchvision, deprecations, what it kept."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
