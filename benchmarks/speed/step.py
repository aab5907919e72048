"""One step of a recurrent layer from Python, state carried, beside ONNX Runtime with its state in place.

python -m benchmarks.speed.step
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from itertools import repeat
from statistics import median
from typing import Any

import numpy as np
import torch
from benchmarks.recording import Row, arguments, write
from benchmarks.timing import BURST, interleaved

from statewise.cells.table import CELLS
from statewise.nn.native_step import step_program
from statewise.recurrence import Recurrence
from statewise.streaming.stepper import Stepper

SIZES = (64, 128, 256, 512)
BARS_US = dict(zip(SIZES, (0.9, 2.2, 18.0, 76.0), strict=True))
BARS_TIMES = dict(zip(SIZES, (5.0, 3.8, 1.3, 1.1), strict=True))
BAR_INT8, BAR_SESSIONS, FLAT = 8.0, 1.5, 0.03
SESSIONS, SESSION_SIZE = 256, 128
FIRST, LATE = 10, 1_000_000
ONNX_NAMES = {"lstm": "LSTM", "gru": "GRU"}

PROTOCOL = """One layer, I = H, float32 in and out, one thread, called from one Python process.
Statewise: `stepper.bind(x, state, out)`, called without arguments. ONNX Runtime: a graph of one LSTM or GRU
node with the same weights, one thread, sequential, inputs and outputs bound once, its state bound to one
buffer as input and output, `run_with_iobinding`. All in turns, bursts of {burst:.2f} s, {turns} turns,
medians. Flat: the median of 60 batches of 1,000 steps after {first} steps and after {late:,}. Allocation:
bytes in use of the C library (mallinfo2) over 100,000 steps, the least of three rounds. Sessions: {sessions}
rows in one call of the same layer on both sides; the bits are compared with one row after another."""


def main() -> None:
    """Measure all rows and write them."""
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    turns, burst = (2, 0.01) if options.quick else (9, BURST)
    late = 10_000 if options.quick else LATE
    found = {(cell, size): steps(cell, size, turns, burst) for cell in ONNX_NAMES for size in SIZES}
    rows = [plain_row(found), small_row(found), sessions_row(turns, burst), flat_row(late), still_row()]
    protocol = PROTOCOL.format(burst=burst, turns=turns, first=FIRST, late=late, sessions=SESSIONS)
    config = {"turns": turns, "burst_s": burst, "sizes": SIZES}
    write("speed.step", rows, protocol, config, options.quick)


def cell_of(name: str, size: int) -> Recurrence:
    """A layer with I = H in evaluation mode."""
    torch.manual_seed(0)
    return CELLS[name].make(size, size).eval()


def bound(cell: Recurrence, size: int, rows: int = 1, int8: bool = False) -> tuple[Callable[[], None], Any]:
    """A step of `rows` sessions on its own arrays, and these."""
    stepper = Stepper(step_program(cell, {"x": (size,)}, int8=int8))
    x = np.random.default_rng(0).normal(size=(rows, size)).astype(np.float32)
    arrays = (x, stepper.initial(rows), np.empty((rows, stepper.output_size), np.float32))
    return stepper.bind(*arrays), (stepper, *arrays)


def steps(name: str, size: int, turns: int, burst: float) -> dict[str, float]:
    """Microseconds of one step of each contestant."""
    cell = cell_of(name, size)
    calls = {
        "fp32": bound(cell, size)[0],
        "int8": bound(cell, size, int8=True)[0],
        "onnx": onnx_step(name, cell, size, 1)[0],
    }
    times = interleaved(calls, turns, burst)
    found = {which: 1e6 * median(each) for which, each in times.items()}
    print(name, size, {which: round(value, 3) for which, value in found.items()}, flush=True)
    return found


def onnx_step(name: str, cell: Recurrence, size: int, rows: int) -> tuple[Callable[[], Any], np.ndarray]:
    """One step of ONNX Runtime with the weights of `cell`, and the array that holds its hidden state."""
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    gates = 4 if name == "lstm" else 3
    order = [0, 3, 1, 2] if name == "lstm" else [1, 0, 2]  # ONNX: i o f c, and z r h
    parts = {key: value.detach().numpy() for key, value in cell.named_parameters()}

    def reordered(array: np.ndarray) -> np.ndarray:
        return array.reshape(gates, size, -1)[order].reshape(1, gates * size, -1)

    first = parts.get("input_bias", parts.get("bias"))
    second = parts.get("recurrent_bias", np.zeros_like(first))
    bias = np.concatenate([reordered(first)[..., 0], reordered(second)[..., 0]], axis=1)
    weights = {"W": reordered(parts["input_weight"]), "R": reordered(parts["recurrent_weight"]), "B": bias}
    states = ["h", "c"] if name == "lstm" else ["h"]
    extra = {"linear_before_reset": 1} if name == "gru" else {}
    node = helper.make_node(
        ONNX_NAMES[name],
        ["x", "W", "R", "B", "", *states],
        ["", *(f"next_{one}" for one in states)],
        hidden_size=size,
        **extra,
    )
    shape = [1, rows, size]
    info = {one: helper.make_tensor_value_info(one, TensorProto.FLOAT, shape) for one in ("x", *states)}
    after = [helper.make_tensor_value_info(f"next_{one}", TensorProto.FLOAT, shape) for one in states]
    held = [numpy_helper.from_array(array.astype(np.float32), key) for key, array in weights.items()]
    graph = helper.make_graph([node], "step", list(info.values()), after, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    buffers = {one: np.zeros(shape, np.float32) for one in states}
    binding = session.io_binding()
    binding.bind_cpu_input("x", x)
    for one, buffer in buffers.items():
        binding.bind_input(one, "cpu", 0, np.float32, shape, buffer.ctypes.data)
        binding.bind_output(f"next_{one}", "cpu", 0, np.float32, shape, buffer.ctypes.data)
    keep = (x, buffers, binding)

    def run(held: Any = keep) -> None:
        session.run_with_iobinding(binding)

    return run, buffers["h"]


def plain_row(found: Mapping[tuple[str, int], Mapping[str, float]]) -> Row:
    """The line on float32."""
    fast = all(one["fp32"] <= BARS_US[size] for (_, size), one in found.items())
    ahead = all(one["onnx"] / one["fp32"] >= BARS_TIMES[size] for (_, size), one in found.items())
    return Row(
        "step",
        "One step from Python, batch 1, hidden 64/128/256/512, float32 (µs; times ONNX Runtime)",
        "≤ 0.9/2.2/18/76 µs and ≥ 5/3.8/1.3/1.1× ONNX Runtime",
        in_words(found, "fp32"),
        fast and ahead,
        figures(found),
    )


def small_row(found: Mapping[tuple[str, int], Mapping[str, float]]) -> Row:
    """The line on 8 bits."""
    return Row(
        "step_int8",
        "The same with weights in 8 bits, beside ONNX Runtime in float32",
        f"≥ {BAR_INT8:g}× ONNX Runtime at every size",
        in_words(found, "int8"),
        all(one["onnx"] / one["int8"] >= BAR_INT8 for one in found.values()),
        figures(found),
    )


def in_words(found: Mapping[tuple[str, int], Mapping[str, float]], which: str) -> str:
    """LSTM 0.80/2.1/… µs (6.1/4.0/…×); GRU …"""
    parts = []
    for name in ONNX_NAMES:
        ours = "/".join(f"{found[name, size][which]:.2f}" for size in SIZES)
        times = "/".join(f"{found[name, size]['onnx'] / found[name, size][which]:.1f}" for size in SIZES)
        parts.append(f"{name.upper()} {ours} µs ({times}×)")
    return "; ".join(parts)


def figures(found: Mapping[tuple[str, int], Mapping[str, float]]) -> dict[str, Any]:
    """Plain names for the JSON."""
    return {f"{name} {size}": dict(one) for (name, size), one in found.items()}


def sessions_row(turns: int, burst: float) -> Row:
    """The line on many sessions in one call."""
    cell = cell_of("lstm", SESSION_SIZE)
    fp32, (stepper, x, state, out) = bound(cell, SESSION_SIZE, SESSIONS)
    int8, _ = bound(cell, SESSION_SIZE, SESSIONS, int8=True)
    onnx, _ = onnx_step("lstm", cell, SESSION_SIZE, SESSIONS)
    times = interleaved({"fp32": fp32, "int8": int8, "onnx": onnx}, turns, burst)
    found = {name: 1e6 * median(each) for name, each in times.items()}
    state[:] = np.random.default_rng(1).normal(size=state.shape)
    apart = [stepper(x[row], state[row]) for row in range(SESSIONS)]
    stepper.step(x, state, out)
    same = all(
        np.array_equal(y, out[row]) and np.array_equal(s, state[row]) for row, (y, s) in enumerate(apart)
    )
    parts = [f"{kind} {found[kind]:.0f} µs ({found['onnx'] / found[kind]:.2f}×)" for kind in ("fp32", "int8")]
    return Row(
        "step_sessions",
        f"{SESSIONS} sessions stepped in one call, LSTM, hidden {SESSION_SIZE} (times ONNX Runtime, float32)",
        f"≥ {BAR_SESSIONS}× ONNX Runtime; bits equal to one by one",
        f"{', '.join(parts)}; bits {'equal' if same else 'NOT equal'}",
        found["onnx"] / found["fp32"] >= BAR_SESSIONS and same,
        found,
    )


def flat_row(late: int) -> Row:
    """The line on the cost of a late step."""
    cell = cell_of("lstm", SESSION_SIZE)
    many(bound(cell, SESSION_SIZE)[0], late // 10)  # the processor at its usual speed
    step, _ = bound(cell, SESSION_SIZE)
    many(step, FIRST)
    early = median(batches(step))
    many(step, late)
    after = median(batches(step))
    change = after / early - 1
    return Row(
        "step_flat",
        f"LSTM, hidden {SESSION_SIZE}: step {FIRST} and step {late:,}",
        f"within ± {FLAT:.0%}",
        f"{early:.2f} µs, then {after:.2f} µs ({change:+.1%})",
        abs(change) <= FLAT,
        {"first_us": early, "late_us": after},
    )


def batches(step: Callable[[], None]) -> list[float]:
    """Microseconds of a step in each of 60 batches of 1,000."""
    times = interleaved({"step": lambda: many(step, 1000)}, 60, 1e-6)["step"]
    return [1e3 * each for each in times]


def many(step: Callable[[], object], count: int) -> None:
    """`count` steps."""
    for _ in repeat(None, count):
        step()


def still_row() -> Row:
    """The line on allocation."""
    grown = {}
    many(in_use, 10)
    for name in ONNX_NAMES:
        step, _ = bound(cell_of(name, SESSION_SIZE), SESSION_SIZE)
        rounds = []
        for _ in range(3):  # some rounds pay for what Python keeps of the measuring
            before = in_use()
            many(step, 100_000)
            rounds.append(in_use() - before)
        grown[name] = min(rounds, key=abs)
    return Row(
        "step_allocation",
        "Bytes that the C library hands out over 100,000 steps",
        "0",
        ", ".join(f"{name.upper()} {value}" for name, value in grown.items()),
        not any(grown.values()),
        grown,
    )


class _Info(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def in_use() -> int:
    """Bytes in use of the C library, mapped blocks included (glibc 2.33 or newer)."""
    info = _mallinfo()
    return int(info.uordblks + info.hblkhd)


_mallinfo = ctypes.CDLL(None).mallinfo2
_mallinfo.restype = _Info


if __name__ == "__main__":
    main()
