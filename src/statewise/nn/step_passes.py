"""What is done to the instructions of a step program before it is written: the same results, fewer passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from statewise.nn.step_program import CONSTANT, FUNCTIONS, OFFSET, OUTPUT, WORK, Assembler, Instruction

_COMMUTE = frozenset(("add", "mul"))

# Patterns: (function, operand, …); a name is bound to the address that stands there, the same one everywhere.
Pattern = str | tuple["Pattern", ...]
_CELL: Pattern = ("add", ("mul", ("sigmoid", "f"), "c"), ("mul", ("sigmoid", "i"), ("tanh", "g")))
_LSTM: Pattern = ("mul", ("sigmoid", "o"), ("tanh", "C"))
_NEW: Pattern = ("tanh", ("add", "xn", ("mul", "hn", ("sigmoid", ("add", "xr", "hr")))))
_GRU: Pattern = ("add", ("mul", ("sub", "h", "N"), ("sigmoid", ("add", "xz", "hz"))), "N")


@dataclass(frozen=True)
class Mapped:
    """A MAP of one contiguous piece: its function, size, result, and the addresses of its operands."""

    name: str
    size: int
    made: int
    given: tuple[int, ...]


def grouped(assembler: Assembler) -> None:
    """Joins products that do not wait for each other: one pass over their weights, forth and back."""
    made: dict[int, int] = {}  # result to the place of its instruction in `code`
    code: list[Instruction] = []
    groups: list[int] = []
    for one in assembler.code:
        homes = [assembler.home(read) for read in one.read() if WORK <= read < CONSTANT]
        ready = max((made[home] for home in homes), default=-1)
        place = next((group for group in groups if group > ready), None) if one.code == "MATVEC" else None
        if place is None:
            place = len(code)
            code.append(one)
            if one.code == "MATVEC":
                groups.append(place)
        else:
            code[place] = replace(one, words=code[place].words + one.words)
        for written in one.written():
            made[assembler.home(written)] = place
    assembler.code = code


class Fusion:
    """Finds the cells of LSTM and GRU among the instructions: their products and gates become one of them."""

    def __init__(self, assembler: Assembler) -> None:
        self.into = assembler
        self.made = {one.words[3]: _mapped(one) for one in assembler.code if one.code == "MAP"}
        self.places = {one.written()[0]: place for place, one in enumerate(assembler.code)}
        self.products: dict[int, tuple[int, int, int]] = {}  # result to outputs, inputs' address, matrix
        for one in assembler.code:
            for at in range(0, len(one.words) if one.code == "MATVEC" else 0, 6):
                made, _, source, _, many, number = one.words[at : at + 6]
                if many == 1:
                    self.products[made] = (assembler.matrices[number][0], source, number)

    def run(self) -> None:
        """Replaces what it finds."""
        for address in list(self.made):
            self._lstm(address)
            self._gru(address)
        self.into.code = self._living()

    def _lstm(self, address: int) -> None:
        out: dict[str, int] = {}
        if not self._match(_LSTM, address, out) or not self._match(_CELL, out["C"], out):
            return
        one, gates = self.made[address], self.made.get(out["i"])
        if one is None or gates is None or gates.name != "add":
            return
        order = [out[name] - out["i"] for name in ("i", "f", "g", "o")]
        if order == [0, one.size, 2 * one.size, 3 * one.size]:
            self._put(4, one, gates.given, out["C"], out["c"])

    def _gru(self, address: int) -> None:
        out: dict[str, int] = {}
        if not self._match(_GRU, address, out) or not self._match(_NEW, out["N"], out):
            return
        one = self.made[address]
        assert one is not None
        n = (out["xn"], out["hn"])
        for r in ((out["xr"], out["hr"]), (out["hr"], out["xr"])):
            for z in ((out["xz"], out["hz"]), (out["hz"], out["xz"])):
                if [(z[i] - r[i], n[i] - r[i]) for i in range(2)] == [(one.size, 2 * one.size)] * 2:
                    self._put(3, one, r, one.made, out["h"])
                    return

    def _match(self, pattern: Pattern, address: int, out: dict[str, int]) -> bool:
        if isinstance(pattern, str):
            return out.setdefault(pattern, address) == address
        one = self.made.get(address)
        if one is None or one.name != pattern[0]:
            return False
        orders = [one.given, one.given[::-1]] if one.name in _COMMUTE else [one.given]
        for given in orders:
            trial = dict(out)
            if all(self._match(part, at, trial) for part, at in zip(pattern[1:], given, strict=True)):
                out.update(trial)
                return True
        return False

    def _put(self, gates: int, one: Mapped, sums: tuple[int, ...], next_cell: int, cell: int) -> None:
        """A CELL in place of the instruction that made the hidden state, if `sums` are plain products."""
        found = [self.products.get(made) for made in sums]
        if None in found:
            return
        (x_rows, x, x_matrix), (h_rows, h, h_matrix) = (part for part in found if part is not None)
        if x_rows != h_rows or x_rows != gates * one.size:
            return
        for number in (x_matrix, h_matrix):
            self.into.gated(number, gates)
        words = (gates, one.size, one.made, next_cell, x, h, cell, x_matrix, h_matrix)
        self.into.code[self.places[one.made]] = Instruction("CELL", words)

    def _living(self) -> list[Instruction]:
        """The code without what nobody reads."""
        needed: set[int] = set()
        kept: list[Instruction] = []
        for whole in reversed(self.into.code):
            one = whole
            if one.code == "MATVEC":
                blocks = [one.words[at : at + 6] for at in range(0, len(one.words), 6)]
                living = [block for block in blocks if self._wanted(block[0], needed)]
                one = replace(one, words=tuple(word for block in living for word in block))
            if any(self._wanted(made, needed) for made in one.written()):
                kept.append(one)
                needed.difference_update(self._homes(one.written()))
                needed.update(self._homes(one.read()))
        return kept[::-1]

    def _wanted(self, made: int, needed: set[int]) -> bool:
        return not WORK <= made < CONSTANT or self.into.home(made) in needed

    def _homes(self, addresses: Sequence[int]) -> set[int]:
        return {self.into.home(one) for one in addresses if WORK <= one < CONSTANT}


def _mapped(one: Instruction) -> Mapped | None:
    function, outer, inner, made, _, *rest = one.words
    operands = [tuple(rest[place : place + 3]) for place in (0, 3, 6)]
    count = 1 if FUNCTIONS[function] in ("sigmoid", "tanh") else 2
    even = all(step == 1 and (outer == 1 or stride == inner) for _, stride, step in operands[:count])
    if not even:
        return None
    return Mapped(FUNCTIONS[function], outer * inner, made, tuple(first for first, _, _ in operands[:count]))


def placed(assembler: Assembler, wanted: Sequence[tuple[int, int, int]]) -> None:
    """Lets results be made where they are wanted at the end: `wanted` gives the first address of a result,
    its final one and its size. The copy there falls away when nobody reads what stood there.
    """
    for made, final, size in wanted:
        home = assembler.home(made)
        if made != WORK + assembler.starts[home] or size != assembler.sizes[home]:
            continue
        place = next((i for i, one in enumerate(assembler.code) if made in one.written()), None)
        if place is None:  # it has moved already
            continue
        later = assembler.code[place:]
        if final < OUTPUT and any(_reads(one, final, size, made, assembler) for one in later):
            continue
        renamed = [_renamed(one, home, made, final, assembler) for one in assembler.code]
        assembler.code = [one for one in renamed if one.words]


def _reads(one: Instruction, start: int, size: int, made: int, assembler: Assembler) -> bool:
    """Whether `one` reads the state from `start` on, other than element by element into what it makes."""
    for address, length, same in _extents(one, made, assembler):
        if address < start + size and start < address + length and not (same and address == start):
            return True
    return False


def _extents(one: Instruction, made: int, assembler: Assembler) -> list[tuple[int, int, bool]]:
    """What is read: first address, floats, and whether the result `made` takes them element by element."""
    w = one.words
    if one.code == "MAP":
        found = []
        for first, stride, step in (w[5:8], w[8:11], w[11:14]):
            length = (w[1] - 1) * stride + (w[2] - 1) * step + 1
            same = step == 1 and (w[1] == 1 or (stride == w[2] and w[4] == w[2])) and w[3] == made
            found.append((first, length, same))
        return found
    if one.code == "COPY":
        return [(w[i + 1], w[i + 2], False) for i in range(0, len(w), 3)]
    if one.code == "MATVEC":
        return [
            (w[i + 2], (w[i + 4] - 1) * w[i + 3] + assembler.matrices[w[i + 5]][1], False)
            for i in range(0, len(w), 6)
        ]
    if one.code == "CELL":
        reads = [(w[4], assembler.matrices[w[7]][1], False), (w[5], assembler.matrices[w[8]][1], False)]
        return [*reads, (w[6], w[1], w[0] == 4 and w[3] == made)]
    # Rare ones: from their first address to the end of the space.
    return [(read, OFFSET, False) for read in one.read() if read < CONSTANT]


def _renamed(one: Instruction, home: int, made: int, final: int, assembler: Assembler) -> Instruction:
    words = list(one.words)
    for place in one.places():
        if WORK <= words[place] < CONSTANT and assembler.home(words[place]) == home:
            words[place] += final - made
    if one.code == "COPY":
        runs = [words[i : i + 3] for i in range(0, len(words), 3)]
        words = [word for run in runs if run[0] != run[1] for word in run]
    return replace(one, words=tuple(words))
