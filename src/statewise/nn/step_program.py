"""A step program under construction: vectors at addresses, instructions between them.

The bytes are described in native/steps/program.h.

An address names a float of one row: its space in the top bits, its place there below. Instructions are kept
with the addresses they hold, so that results may be moved: those that live at different times share memory.
"""

from __future__ import annotations

import bisect
import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

INPUT, STATE, OUTPUT, WORK, CONSTANT = (space << 28 for space in range(5))
OFFSET = (1 << 28) - 1
_MAGIC, _VERSION = 0x50535753, 1
_ALIGN = 16  # floats
_GAP = 1 << 12  # between results under construction: no two are read as one
CODES = (
    *("MAP", "COPY", "INDEX", "MATVEC", "REDUCE", "NORM", "SOFTMAX", "CUMSUM", "PRODUCT", "CELL"),
    *("CLOCK", "LOOKUP"),
)
FUNCTIONS = (
    *("copy", "neg", "abs", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "reciprocal", "square"),
    *("sigmoid", "tanh", "relu", "silu", "gelu", "softplus", "erf", "sin", "cos", "floor", "isnan", "isinf"),
    *("not", "sign", "add", "sub", "mul", "div", "maximum", "minimum", "gt", "ge", "lt", "le", "eq", "ne"),
    *("both", "either", "remainder", "where", "fma"),
)
# Words of an instruction that are addresses, and of a repeated one the words of one block.
_ADDRESSES: dict[str, tuple[tuple[int, ...], int]] = {
    "MAP": ((3, 5, 8, 11), 0),
    "COPY": ((0, 1), 3),
    "INDEX": ((0, 1), 0),
    "MATVEC": ((0, 2), 6),
    "REDUCE": ((3, 4), 0),
    "NORM": ((2, 3, 5, 6), 0),
    "SOFTMAX": ((2, 3), 0),
    "CUMSUM": ((2, 3), 0),
    "PRODUCT": ((4, 5, 9), 0),
    "CELL": ((2, 3, 4, 5, 6), 0),
    "CLOCK": ((2, 3, 4, 5), 0),
    "LOOKUP": ((2, 3, 4), 0),
}
_WRITES: dict[str, tuple[int, ...]] = {
    "MAP": (3,),
    "REDUCE": (3,),
    "NORM": (2,),
    "SOFTMAX": (2,),
    "CUMSUM": (2,),
}
_WRITES |= {
    "COPY": (0,),
    "INDEX": (0,),
    "MATVEC": (0,),
    "PRODUCT": (4,),
    "CELL": (2, 3),
    "CLOCK": (2,),
    "LOOKUP": (2,),
}


@dataclass(frozen=True)
class Instruction:
    """One code with its words."""

    code: str
    words: tuple[int, ...]

    def places(self) -> list[int]:
        """Where in `words` the addresses are."""
        first, block = _ADDRESSES[self.code]
        if not block:
            return [place for place in first if place < len(self.words)]
        return [start + place for start in range(0, len(self.words), block) for place in first]

    def written(self) -> list[int]:
        """The addresses that are written."""
        block = _ADDRESSES[self.code][1]
        starts = range(0, len(self.words), block) if block else (0,)
        return [self.words[start + place] for start in starts for place in _WRITES[self.code]]

    def read(self) -> list[int]:
        """The addresses that are read."""
        block = _ADDRESSES[self.code][1]
        skipped = set(_WRITES[self.code])
        places = [place for place in self.places() if (place % block if block else place) not in skipped]
        return [self.words[place] for place in places if self.words[place] >= 0]


@dataclass
class Assembler:
    """Collects instructions, constants and matrices."""

    inputs: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    code: list[Instruction] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)  # of each result in WORK, rising
    sizes: list[int] = field(default_factory=list)
    indices: list[np.ndarray] = field(default_factory=list)
    constants: list[np.ndarray] = field(default_factory=list)
    matrices: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    weights: list[bytes] = field(default_factory=list)
    rows: dict[int, int] = field(default_factory=dict)  # of the table that the id at an address chooses from

    def __post_init__(self) -> None:
        self._known: dict[bytes, int] = {}
        self._constant_count = self._index_count = self._weight_bytes = 0

    def result(self, count: int) -> int:
        """The address of a new result of `count` floats."""
        start = self.starts[-1] + self.sizes[-1] + _GAP if self.starts else 0
        self.starts.append(start)
        self.sizes.append(count)
        return WORK + start

    def home(self, address: int) -> int:
        """The number of the result that an address of WORK lies in."""
        return bisect.bisect_right(self.starts, address & OFFSET) - 1

    def constant(self, values: np.ndarray) -> int:
        """The address of `values` [n] among the constants; equal ones are kept once."""
        array = np.ascontiguousarray(values, dtype=np.float32).reshape(-1)
        key = array.tobytes()
        if key not in self._known:
            self._known[key] = CONSTANT + self._constant_count
            self.constants.append(array)
            self._constant_count += array.size
        return self._known[key]

    def index(self, values: np.ndarray) -> int:
        """The place of a table of indices."""
        self.indices.append(np.ascontiguousarray(values, dtype=np.int32))
        self._index_count += values.size
        return self._index_count - values.size

    def matrix(self, weight: np.ndarray, bias: np.ndarray | None, small: bool) -> int:
        """The number of a matrix [O, K] with its bias [O]; `small`: in 8 bits, one scale per output."""
        scales, data = -1, np.ascontiguousarray(weight, dtype=np.float32)
        offset = -1 if bias is None else self.constant(bias) & OFFSET
        if small:
            scale = np.maximum(np.abs(data).max(axis=1), 1e-30) / 127
            scales = self.constant(scale) & OFFSET
            data = np.rint(data / scale[:, None]).astype(np.int8)
        raw = data.tobytes()
        raw += bytes(-len(raw) % 4)
        self.matrices.append((*weight.shape, self._weight_bytes, offset, scales, 1))
        self.weights.append(raw)
        self._weight_bytes += len(raw)
        return len(self.matrices) - 1

    def gated(self, number: int, gates: int) -> None:
        """Marks a matrix as the gates of a cell, whose rows are packed unit by unit."""
        self.matrices[number] = (*self.matrices[number][:5], gates)

    def emit(self, code: str, *words: int) -> None:
        """One more instruction."""
        self.code.append(Instruction(code, words))

    def begin(self, initial: np.ndarray) -> None:
        """Sets the first state [S]: it stands before all constants."""
        self.constants.append(initial)
        self._constant_count = initial.size

    def image(self, output: int, text: Mapping[str, Any]) -> bytes:
        """The program as bytes; `output` counts the floats of an answer."""
        code, work = _compact(self.code, self)
        words = [np.array([CODES.index(i.code), len(i.words), *i.words], dtype=np.int32) for i in code]
        note = json.dumps(text, separators=(",", ":")).encode()
        note += b" " * (-len(note) % 4)
        inputs = sum(int(np.prod(shape)) for _, shape in self.inputs.values())
        sections = (
            _joined(words, np.int32),
            _joined(self.indices, np.int32),
            _joined(self.constants, np.float32),
        )
        sizes = [inputs, self.constants[0].size, output, work, *(part.size for part in sections)]
        header = struct.pack(
            "<2I10i", _MAGIC, _VERSION, *sizes, len(self.matrices), self._weight_bytes, len(note)
        )
        table = np.array(self.matrices, dtype=np.int32).tobytes()
        return b"".join((header, *(part.tobytes() for part in sections), table, *self.weights, note))


def _joined(parts: Sequence[np.ndarray], dtype: Any) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts]).astype(dtype)


def _compact(code: Sequence[Instruction], assembler: Assembler) -> tuple[list[Instruction], int]:
    """The code with every result moved to where no living one is, and the floats that all take."""
    born: dict[int, int] = {}
    last: dict[int, int] = {}
    for time, one in enumerate(code):
        for place in one.places():
            if WORK <= one.words[place] < CONSTANT:
                home = assembler.home(one.words[place])
                born.setdefault(home, time)
                last[home] = time
    moved: dict[int, int] = {}
    living: list[tuple[int, int, int]] = []  # start, end, home
    highest = 0
    for home in sorted(born, key=lambda home: born[home]):
        living = [one for one in living if last[one[2]] >= born[home]]
        size = -(-max(assembler.sizes[home], 1) // _ALIGN) * _ALIGN
        start = 0
        for begin, end, _ in sorted(living):
            if start + size <= begin:
                break
            start = max(start, end)
        living.append((start, start + size, home))
        moved[home], highest = start, max(highest, start + size)
    return [_moved(one, moved, assembler) for one in code], highest


def _moved(one: Instruction, moved: Mapping[int, int], assembler: Assembler) -> Instruction:
    words = list(one.words)
    for place in one.places():
        if WORK <= words[place] < CONSTANT:
            home = assembler.home(words[place])
            words[place] = WORK + moved[home] + (words[place] & OFFSET) - assembler.starts[home]
    return replace(one, words=tuple(words))
