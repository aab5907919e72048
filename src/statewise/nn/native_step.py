"""A recurrence's step as a program for the compiled step kernels, read off the recurrence itself.

The step is recorded once (`make_fx`), for one row; by the law rows are independent, so the program serves any
number of them. Views and what depends on weights alone vanish; matrices are packed; the state is one flat row
with the leaves of `statewise.state.named` one after the other, and is changed in place.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from statewise.core.errors import ConfigError
from statewise.nn.live import LiveStep
from statewise.nn.step_clock import Clock, advance
from statewise.nn.step_ids import Ids
from statewise.nn.step_program import INPUT, STATE, Assembler
from statewise.nn.step_rules import Lowering
from statewise.nn.step_values import Builder, Unknown, Value
from statewise.ops.native import without_native
from statewise.recurrence import Recurrence
from statewise.streaming.stepper import Stepper

_SMALLEST = 256  # numbers in a matrix that is worth keeping in 8 bits
_FEW = 2  # ids to try where none is looked up as it comes


def step_program(
    recurrence: Recurrence,
    inputs: Mapping[str, Sequence[int]],
    *,
    ids: Collection[str] = (),
    int8: bool = False,
) -> bytes:
    """The step of `recurrence` as the bytes that `statewise.streaming.stepper.Stepper` runs.

    `inputs` names the observation's tensors and gives the shape of each for one row, without the batch axis;
    those in `ids` hold whole numbers (int64), which choose rows of embeddings.
    int8=True keeps the matrices that were learned in 8 bits: a scale per output, inputs scaled by the largest
    of their row. Raises ConfigError when a part of the step has no native form.
    """
    live = LiveStep(recurrence, tuple(inputs)).eval()
    live.recurrence.float()
    if live.growing:
        raise ConfigError(
            f"native step: the state grows with every step ({', '.join(sorted(live.growing))}), "
            "want one size (attention: give it a window)."
        )
    leaves = dict(zip(live.leaves, (leaf.detach() for leaf in live.initial_leaves()), strict=True))
    examples = [_example(shape, name in ids) for name, shape in inputs.items()]
    graph = _recorded(live, [*examples, *leaves.values()])
    into = Assembler()
    given, place = [], 0
    for name, shape in inputs.items():
        into.inputs[name] = (place, tuple(shape))
        value = _addresses(INPUT + place, (1, *shape))
        given.append(Ids(value.ids, torch.int64) if name in ids else value)
        place += value.ids.numel()
    states: list[Value] = []
    place = 0
    for name, leaf in leaves.items():
        states.append(_leaf(name, leaf, STATE + place))
        place += _words(leaf).size
    initial = np.concatenate([np.zeros(0, np.float32), *(_words(leaf) for leaf in leaves.values())])
    into.begin(initial)
    builder = Builder(into, _small(live) if int8 else lambda weight: False)
    try:
        output, *after = Lowering(graph, builder).run(*given, *states)
        pairs = [pair for pair in zip(states, after, strict=True) if _moves(*pair)]
    except Unknown as unknown:
        raise ConfigError(f"native step: no native form of {unknown.name}: use another engine.") from None
    news = [builder.value(new) for _, new in pairs]
    builder.finish(builder.value(output), [old for old, _ in pairs], news)
    for clock in after:
        if isinstance(clock, Clock):
            advance(builder, clock)
    text = {
        "inputs": {name: list(shape) for name, shape in inputs.items()},
        "leaves": {name: list(leaf.shape[1:]) for name, leaf in leaves.items()},
        "counts": [name for name, leaf in leaves.items() if leaf.dtype == torch.int64],
        "output": list(output.ids.shape[1:]),
        "ids": {
            name: [into.rows.get(one, _FEW) for one in value.ids.reshape(-1).tolist()]
            for name, value in zip(inputs, given, strict=True)
            if name in ids
        },
    }
    return into.image(output.ids.numel(), text)


def _small(live: LiveStep) -> Callable[[Tensor], bool]:
    """Which matrices are kept in 8 bits: learned ones that hold more than a few numbers."""
    exact = {buffer.untyped_storage().data_ptr() for buffer in live.buffers()}
    return lambda weight: weight.numel() >= _SMALLEST and weight.untyped_storage().data_ptr() not in exact


def _example(shape: Sequence[int], whole: bool) -> Tensor:
    return torch.zeros(1, *shape, dtype=torch.int64 if whole else torch.float32)


def _addresses(start: int, shape: Sequence[int]) -> Value:
    count = int(np.prod(shape))
    return Value(torch.arange(start, start + count).view(tuple(shape)))


def _leaf(name: str, leaf: Tensor, place: int) -> Value:
    if leaf.dtype == torch.int64:  # two words each
        if leaf.numel() == 1:
            return Clock(torch.zeros(leaf.shape, dtype=torch.int64), torch.int64, place)
        return Value(place + 2 * torch.arange(leaf.numel()).view(leaf.shape), torch.int64)
    if leaf.dtype != torch.float32:
        raise ConfigError(f"native step: state leaf '{name}' is {leaf.dtype}, want torch.float32.")
    return _addresses(place, leaf.shape)


def _words(leaf: Tensor) -> np.ndarray:
    return leaf.contiguous().numpy().reshape(-1).view(np.float32)


def _moves(old: Value, new: Any) -> bool:
    """Whether a leaf is written by a copy: clocks are not, nor other whole numbers, which must stay."""
    whole = old.dtype == torch.int64
    if whole and not isinstance(old, Clock) and not torch.equal(old.ids, new.ids):
        raise Unknown("whole numbers that change")
    return not whole


def _recorded(live: LiveStep, examples: Sequence[Tensor]) -> fx.GraphModule:
    with warnings.catch_warnings(), torch.no_grad(), without_native(), sdpa_kernel(SDPBackend.MATH):
        warnings.simplefilter("ignore")  # torch's own, on switches of other machines
        # Fused forms would be recorded as one opaque operation each: without them, as what they compute.
        with torch.backends.mkldnn.flags(enabled=False):
            try:
                return make_fx(lambda *tensors: live(*tensors))(*examples)
            except RuntimeError:
                raise ConfigError(
                    "native step: what it does depends on the values it reads: use another engine."
                ) from None


def verified(program: bytes, recurrence: Recurrence, inputs: Mapping[str, Sequence[int]]) -> bytes:
    """`program` itself, after some steps of noise and holes gave what `recurrence` gives. ConfigError."""
    live, stepper = LiveStep(recurrence, tuple(inputs)).eval(), Stepper(program)
    leaves, state = live.initial_leaves(), stepper.initial(1)
    rng = np.random.default_rng(0)
    for step in range(6):
        x = [_drawn(rng, shape, stepper.ids.get(name), step == 4) for name, shape in inputs.items()]
        with torch.no_grad():
            want, *leaves = live(*(torch.from_numpy(part) for part in x), *leaves)
        flat = np.concatenate([part.reshape(1, -1) for part in x], axis=1, dtype=np.float32)
        got, state = stepper(flat, state)
        size = 1 + np.abs(np.nan_to_num(want.numpy())).max(initial=0.0)
        if not np.allclose(got.reshape(want.shape), want.numpy(), atol=1e-3 * size, equal_nan=True):
            raise ConfigError("native step: gives other numbers than the recurrence: use another engine.")
    return program


def _drawn(
    rng: np.random.Generator, shape: Sequence[int], rows: Sequence[int] | None, holes: bool
) -> np.ndarray:
    """Noise [1, ...] with holes or without; ids below `rows` where it is given."""
    if rows is not None:
        return rng.integers(0, np.array(rows).reshape(1, *shape))
    noise = rng.normal(size=(1, *shape)).astype(np.float32)
    return np.where(rng.random(noise.shape) < 0.3, np.float32(np.nan), noise) if holes else noise
