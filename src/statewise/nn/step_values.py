"""Values of a step program under construction: tensors of addresses, and the arithmetic between them.

Whatever only moves numbers (views, slices, joins) is done on the addresses, with torch's own operations, and
costs nothing when the program runs. Only arithmetic becomes instructions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from statewise.nn.step_passes import Fusion, grouped, placed
from statewise.nn.step_program import FUNCTIONS, OFFSET, OUTPUT, STATE, WORK, Assembler

_SPACE = ~OFFSET


class Unknown(Exception):
    """An operation that has no form here."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Value:
    """Numbers that change from step to step: where each is, in the shape that the tensor has for one row."""

    ids: Tensor  # int64
    dtype: torch.dtype = torch.float32

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.ids.shape)


Operand = Value | Tensor | float  # a tensor is constant


@dataclass(frozen=True)
class Span:
    """`outer` pieces of `inner` addresses: first, stride between pieces, stride inside."""

    first: int
    stride: int
    step: int


class Builder:
    """Appends arithmetic to an assembler; `small(weight)` says which matrices are kept in 8 bits."""

    def __init__(self, into: Assembler, small: Callable[[Tensor], bool]) -> None:
        self.into, self.small = into, small

    def value(self, given: Operand, dtype: torch.dtype = torch.float32) -> Value:
        """Anything as a value; constants become addresses among the constants."""
        if isinstance(given, Value):
            return given
        tensor = given if isinstance(given, Tensor) else torch.tensor(float(given))
        array = tensor.detach().to(torch.float32).numpy()
        flat = array.reshape(-1)
        if flat.size and (flat == flat[0]).all():
            ids = torch.full(array.shape, self.into.constant(flat[:1]), dtype=torch.int64)
            return Value(ids, tensor.dtype if isinstance(given, Tensor) else dtype)
        start = self.into.constant(flat)
        ids = torch.arange(start, start + flat.size).view(array.shape)
        return Value(ids, tensor.dtype if isinstance(given, Tensor) else dtype)

    def fresh(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Value:
        """A new result of that shape."""
        count = math.prod(shape)
        start = self.into.result(count)
        return Value(torch.arange(start, start + count).view(tuple(shape)), dtype)

    def apply(self, name: str, *given: Operand, dtype: torch.dtype = torch.float32) -> Value:
        """A function of one to three operands, broadcast, element by element."""
        values = [self.value(one) for one in given]
        shape = np.broadcast_shapes(*(one.shape for one in values))
        ids = [one.ids.expand(shape) for one in values]
        made = self.fresh(shape, dtype)
        count = made.ids.numel()
        if count == 0:
            return made
        flat = [one.reshape(-1).numpy() for one in ids]
        inner = self._pieces(flat, made.shape)
        spans = [self.span(one, inner) or self.span(self._copied(one), inner) for one in flat]
        words = [FUNCTIONS.index(name), count // inner, inner, int(made.ids.reshape(-1)[0]), inner]
        for span in spans:
            assert span is not None
            words += [span.first, span.stride, span.step]
        words += [0, 0, 0] * (3 - len(spans))
        self.into.emit("MAP", *words)
        return made

    def _pieces(self, flat: Sequence[np.ndarray], shape: Sequence[int]) -> int:
        """The longest piece in which all operands run evenly; all elements when there is none."""
        count, inner = flat[0].size, 1
        lengths = [count]
        for size in reversed(shape):
            inner *= size
            lengths.append(inner)
        for length in sorted(set(lengths), reverse=True):
            if (length >= 4 or length == count) and all(self.span(one, length) for one in flat):
                return length
        return count

    def span(self, flat: np.ndarray, inner: int) -> Span | None:
        """The addresses `flat` as even pieces of `inner`, or None."""
        pieces = flat.reshape(-1, inner)
        if flat.size == 0:
            return Span(0, 0, 1)
        step = int(pieces[0, 1] - pieces[0, 0]) if inner > 1 else 1
        stride = int(pieces[1, 0] - pieces[0, 0]) if len(pieces) > 1 else 0
        if step not in (0, 1) or stride < 0 or not self._together(flat):
            return None
        want = pieces[0, 0] + stride * np.arange(len(pieces))[:, None] + step * np.arange(inner)
        return Span(int(pieces[0, 0]), stride, step) if (want == pieces).all() else None

    def _together(self, flat: np.ndarray) -> bool:
        """Whether all addresses lie in one space and, there, in one result."""
        low, high = int(flat.min()), int(flat.max())
        if low & _SPACE != high & _SPACE:
            return False
        return low & _SPACE != WORK or self.into.home(low) == self.into.home(high)

    def _copied(self, flat: np.ndarray) -> np.ndarray:
        """The addresses of a copy that lies in one piece."""
        made = self.fresh((flat.size,)).ids.numpy()
        self.move(int(made[0]), flat)
        return made

    def move(self, to: int, flat: np.ndarray) -> None:
        """Copies the numbers at `flat` to the addresses from `to` on."""
        breaks = np.flatnonzero(np.diff(flat) != 1) + 1
        homes = np.array([self._room(int(one)) for one in flat]) if len(breaks) < 64 else np.zeros(0)
        if homes.size:
            breaks = np.union1d(breaks, np.flatnonzero(np.diff(homes) != 0) + 1)
        starts = np.concatenate(([0], breaks)).astype(int)
        counts = np.diff(np.append(starts, flat.size))
        if len(starts) > max(8, flat.size // 4) and self._together(flat):
            base = int(flat.min())
            self.into.emit("INDEX", to, base, flat.size, self.into.index(flat - base))
            return
        words = [(to + int(s), int(flat[s]), int(n)) for s, n in zip(starts, counts, strict=True)]
        self.into.emit("COPY", *(word for run in words for word in run))

    def _room(self, address: int) -> int:
        space = address & _SPACE
        return self.into.home(address) if space == WORK else -1 - (space >> 28)

    def whole(self, value: Value) -> Value:
        """The same numbers in one piece, in order."""
        flat = value.ids.reshape(-1).numpy()
        span = self.span(flat, flat.size) if flat.size else None
        if span is not None and (span.step == 1 or flat.size == 1):
            return value
        return Value(torch.from_numpy(self._copied(flat)).view(value.shape), value.dtype)

    def rows(self, value: Value, size: int) -> tuple[Value, int]:
        """`value` as rows of `size` that lie in one piece each, and the stride between them."""
        flat = value.ids.reshape(-1).numpy()
        span = self.span(flat, size) if flat.size else None
        if span is None or (span.step != 1 and size > 1):
            value = self.whole(value)
            return value, size
        return value, span.stride if flat.size > size else size

    def linear(self, value: Value, weight: Tensor, bias: Tensor | None) -> Value:
        """`value` [..., K] times `weight` [O, K], plus `bias` [O]."""
        columns, rows = weight.shape[1], weight.shape[0]
        many = math.prod(value.shape[:-1])
        made = self.fresh((*value.shape[:-1], rows))
        if not made.ids.numel():
            return made
        if columns == 0:
            zero = torch.zeros(rows) if bias is None else bias
            return self.apply("copy", zero.expand(made.shape))
        value, stride = self.rows(value, columns)
        array = weight.detach().to(torch.float32).numpy()
        shift = None if bias is None else bias.detach().to(torch.float32).numpy()
        number = self.into.matrix(array, shift, self.small(weight))
        first, to = int(value.ids.reshape(-1)[0]), int(made.ids.reshape(-1)[0])
        self.into.emit("MATVEC", to, rows, first, stride, many, number)
        return made

    def lookup(self, ids: Value, table: int, rows: int, size: int) -> Value:
        """`ids` [...] to the rows [..., size] that they choose of the table at that address."""
        made = self.fresh((*ids.shape, size))
        if made.ids.numel():
            first = int(self.whole(ids).ids.reshape(-1)[0])
            words = (ids.ids.numel(), size, int(made.ids.reshape(-1)[0]), first, table, rows)
            self.into.emit("LOOKUP", *words)
        return made

    def product(self, a: Value, b: Value) -> Value:
        """[P, N, K] times [P, K, M], both changing from step to step."""
        (batch, n, k), m = a.shape, b.shape[2]
        made = self.fresh((batch, n, m))
        if not made.ids.numel():
            return made
        if k == 0:
            return self.apply("copy", torch.zeros(made.shape))
        if m == 1 and n > 1:  # the long side last: it runs along the registers
            return Value(self.product(_turned(b), _turned(a)).ids.transpose(1, 2))
        first = [self._strides(one) or self._strides(self.whole(one)) for one in (a, b)]
        assert first[0] is not None
        assert first[1] is not None
        self.into.emit("PRODUCT", batch, n, k, m, int(made.ids[0, 0, 0]), *first[0], *first[1])
        return made

    def _strides(self, value: Value) -> tuple[int, ...] | None:
        """First address and the stride of each axis of [P, N, K]; None when there are none."""
        ids = value.ids.numpy()
        first = int(ids[0, 0, 0])
        strides = [
            int(np.take(ids, 1, axis)[0, 0] - first) if ids.shape[axis] > 1 else 0 for axis in range(3)
        ]
        places = [np.arange(n) * s for n, s in zip(ids.shape, strides, strict=True)]
        want = first + places[0][:, None, None] + places[1][:, None] + places[2]
        fits = min(strides) >= 0 and (want == ids).all() and self._together(ids)
        return (first, *strides) if fits else None

    def reduce(self, name: str, value: Value, axes: Sequence[int], keep: bool) -> Value:
        """The sum or the maximum over `axes`."""
        axes = sorted(axis % value.ids.dim() for axis in axes) or list(range(value.ids.dim()))
        rest = [axis for axis in range(value.ids.dim()) if axis not in axes]
        lined = value.ids.permute(*rest, *axes)
        inner = math.prod(value.shape[axis] for axis in axes)
        kept = [1 if axis in axes else size for axis, size in enumerate(value.shape)]
        made = self.fresh(kept if keep else [value.shape[axis] for axis in rest], value.dtype)
        outer = made.ids.numel()
        if outer == 0:
            return made
        words = self._along(Value(lined.reshape(outer, inner)))
        self.into.emit(
            "REDUCE", ("sum", "max").index(name), outer, inner, int(made.ids.reshape(-1)[0]), *words
        )
        return made

    def _along(self, value: Value) -> tuple[int, int, int]:
        """First address, stride and inner stride of [outer, inner]."""
        ids = value.ids.numpy()
        for flat, turned in ((ids, False), (ids.T, True)):
            span = self.span(flat.reshape(-1), flat.shape[1])
            if span is not None and (span.step == 1 or flat.shape[1] == 1):
                return (span.first, 1, max(span.stride, 1)) if turned else (span.first, span.stride, 1)
        value = self.whole(value)
        return int(value.ids.reshape(-1)[0]), ids.shape[1], 1

    def along(self, code: str, value: Value, extra: Sequence[int] = ()) -> Value:
        """NORM, SOFTMAX or CUMSUM along the last axis."""
        size = value.shape[-1]
        made = self.fresh(value.shape)
        if not made.ids.numel():
            return made
        value, stride = self.rows(value, size)
        first, to = int(value.ids.reshape(-1)[0]), int(made.ids.reshape(-1)[0])
        self.into.emit(code, made.ids.numel() // size, size, to, first, stride, *extra)
        return made

    def norm(self, value: Value, weight: Tensor | None, bias: Tensor | None, epsilon: float) -> Value:
        """A layer norm along the last axis."""
        places = [
            -1 if part is None else self.into.constant(part.detach().numpy()) for part in (weight, bias)
        ]
        return self.along("NORM", value, (*places, int(np.float32(epsilon).view(np.int32))))

    def finish(self, output: Value, before: Sequence[Value], after: Sequence[Value]) -> None:
        """Writes the output and the next state where they belong, after everything else."""
        grouped(self.into)
        moves = [
            (one.ids.reshape(-1).numpy(), two.ids.reshape(-1).numpy())
            for one, two in zip(before, after, strict=True)
        ]
        changes = [(old, new) for old, new in moves if old.size and not np.array_equal(old, new)]
        staged = [(old, new if _shifted(old, new) else self._copied(new)) for old, new in changes]
        answer = output.ids.reshape(-1).numpy()
        ends = [(int(old[0]), new) for old, new in staged] + [(OUTPUT, answer)] * bool(answer.size)
        wanted = [
            (int(flat[0]), to, flat.size)
            for to, flat in ends
            if flat[0] & _SPACE == WORK and self._together(flat) and (np.diff(flat) == 1).all()
        ]
        if answer.size:
            self.move(OUTPUT, answer)
        for old, new in staged:
            self.move(int(old[0]), new)
        Fusion(self.into).run()
        placed(self.into, wanted)


def _shifted(old: np.ndarray, new: np.ndarray) -> bool:
    """Whether what comes from the state itself only moves down in its own leaf, or does not come from it."""
    kept = (new & _SPACE) == STATE
    own = (new >= old[0]) & (new <= old[-1])
    return bool((~kept | (own & (new >= old))).all())


def _turned(value: Value) -> Value:
    return Value(value.ids.transpose(1, 2))
