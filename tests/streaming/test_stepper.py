"""Steppers: what goes in and out, what is refused and how, and that nothing is allocated."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from statewise.cells.gru import GRU
from statewise.cells.lstm import LSTM
from statewise.core import native
from statewise.core.errors import ConfigError, ShapeError, StreamError
from statewise.nn.live import TorchEngine
from statewise.nn.native_step import step_program
from statewise.streaming.native_engine import NativeEngine
from statewise.streaming.stepper import Stepper

pytestmark = pytest.mark.skipif(
    native.extension() is None or not hasattr(native.extension(), "Steps"),
    reason="the compiled kernels are not there",
)

SIZES = (3, 4)


@pytest.fixture(scope="module")
def program() -> bytes:
    torch.manual_seed(0)
    return step_program(GRU(*SIZES).eval(), {"x": (3,)})


@pytest.fixture
def stepper(program: bytes) -> Stepper:
    return Stepper(program)


def given(stepper: Stepper, rows: int = 2) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    return x, stepper.initial(rows), np.zeros((rows, 4), np.float32)


def test_in_place_bound_and_as_a_function_are_the_same(stepper: Stepper) -> None:
    x, state, out = given(stepper)
    before = state.copy()
    y, after = stepper(x, state)
    np.testing.assert_array_equal(state, before)
    stepper.step(x, state, out)
    np.testing.assert_array_equal(out, y)
    np.testing.assert_array_equal(state, after)
    again, other = before.copy(), np.zeros_like(out)
    step = stepper.bind(x, again, other)
    step()
    np.testing.assert_array_equal(other, y)
    np.testing.assert_array_equal(again, after)


def test_one_session_may_leave_out_the_row_axis(stepper: Stepper) -> None:
    x, state, out = given(stepper, 1)
    y, after = stepper(x[0], state[0])
    assert (y.shape, after.shape) == ((4,), (4,))
    stepper.step(x[0], state[0], out[0])
    np.testing.assert_array_equal(out[0], y)


def test_names_and_shapes(stepper: Stepper) -> None:
    assert stepper.leaves == {"hidden": (0, (4,)), "keep": (4, (0,)), "draws": (4, (0,))}
    assert (stepper.inputs, stepper.output_shape) == ({"x": (0, (3,))}, (4,))
    state = np.arange(8, dtype=np.float32).reshape(2, 4)
    leaves = stepper.named(state)
    assert leaves["keep"].shape == (2, 0)
    np.testing.assert_array_equal(stepper.from_named(leaves), state)


def gaps(array: np.ndarray) -> np.ndarray:
    wide = np.zeros((array.shape[0], 2 * array.shape[1]), np.float32)
    return wide[:, ::2]


def read_only(array: np.ndarray) -> np.ndarray:
    twin = array.copy()
    twin.flags.writeable = False
    return twin


WRONG: list[tuple[int, Callable[[np.ndarray], Any], str]] = [
    (0, lambda a: a.astype(float), "x: got float64 [2, 3], want float32 [B, 3], or [3] for one session."),
    (0, lambda a: a[:, :2].copy(), "x: got float32 [2, 2], want float32 [B, 3], or [3] for one session."),
    (1, lambda a: a[None], "state: got float32 [1, 2, 4], want float32 [B, 4], or [4] for one session."),
    (0, lambda a: a.tolist(), "x: got list, want a float32 array [B, 3]."),
    (0, gaps, "x: got an array with gaps, want it in one piece: np.ascontiguousarray."),
    (1, gaps, "state: got an array with gaps, want it in one piece: np.ascontiguousarray."),
    (2, read_only, "out: got a read-only array, want one that can be changed: a copy."),
    (1, lambda a: a[:1].copy(), "state: got 1 rows, want 2, as many as x."),
]


@pytest.mark.parametrize(("place", "change", "text"), WRONG)
def test_wrong_arrays(stepper: Stepper, place: int, change: Callable[[np.ndarray], Any], text: str) -> None:
    arrays: list[Any] = list(given(stepper))
    arrays[place] = change(arrays[place])
    for call in (stepper.step, stepper.bind):
        with pytest.raises(ShapeError) as caught:
            call(*arrays)
        assert str(caught.value) == f"stepper: {text}"


def test_shared_memory_is_refused(stepper: Stepper) -> None:
    x, state, _ = given(stepper)
    with pytest.raises(ShapeError) as caught:
        stepper.step(x, state, state)
    assert str(caught.value) == "stepper: state and out share memory, want arrays of their own."


def test_wrong_leaves(stepper: Stepper) -> None:
    with pytest.raises(ShapeError) as caught:
        stepper.from_named({"h": np.zeros((1, 4))})
    assert str(caught.value) == "stepper: got the leaves ['h'], want ['draws', 'hidden', 'keep']."
    empty = np.zeros((1, 0), np.float32)
    leaves = {"hidden": np.zeros((1, 5), np.float32), "keep": empty, "draws": empty}
    with pytest.raises(ShapeError) as caught:
        stepper.from_named(leaves)
    assert str(caught.value) == "stepper: leaf 'hidden': got shape [1, 5], want [1, 4]."


def test_damaged_programs_are_refused(program: bytes) -> None:
    cases = {
        b"": "it is shorter than a header",
        b"x" * 100: "it does not begin as one",
        program[:4] + b"\x09" + program[5:]: "it is of another version",
        program[:-100]: "it is cut off",
    }
    for data, why in cases.items():
        with pytest.raises(ShapeError) as caught:
            Stepper(data)
        assert str(caught.value) == f"stepper: got no sound step program: {why}."


def test_a_damaged_instruction_never_reaches_outside(program: bytes) -> None:
    """Every word of the code replaced by others: refused, or a program that stays inside its arrays."""
    count = int(np.frombuffer(program, np.int32, 12)[6])
    x, refused = np.ones((2, 3), np.float32), 0
    for word in range(count):
        for value in (-1, 7, 1 << 20, (4 << 28) + 3, 0x7FFFFFFF):
            words = np.frombuffer(program, np.int32, count, 48).copy()
            words[word] = value
            try:
                stepper = Stepper(program[:48] + words.tobytes() + program[48 + 4 * count :])
            except ShapeError:
                refused += 1
            else:
                stepper(x, stepper.initial(2))
    assert refused > 4 * count


def test_without_kernels(program: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("statewise.streaming.stepper.extension", lambda: None)
    with pytest.raises(ConfigError) as caught:
        Stepper(program)
    assert str(caught.value) == (
        "stepper: needs the compiled kernels, which are not there: install with a C++ compiler."
    )


def test_threads_share_a_stepper() -> None:
    torch.manual_seed(0)
    stepper = Stepper(step_program(LSTM(64, 64).eval(), {"x": (64,)}))
    x = np.random.default_rng(0).normal(size=(200, 64)).astype(np.float32)
    want = stepper(x, stepper.initial(200))
    found: list[Any] = []

    def work() -> None:
        for _ in range(20):
            found.append(stepper(x, stepper.initial(200)))

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 80
    for y, state in found:
        np.testing.assert_array_equal(y, want[0])
        np.testing.assert_array_equal(state, want[1])


def test_runs_without_torch(program: bytes, tmp_path: Any) -> None:
    path = tmp_path / "gru.steps"
    path.write_bytes(program)
    code = f"""
import sys
sys.modules["torch"] = None
import numpy as np
from pathlib import Path
from statewise.streaming.stepper import Stepper
stepper = Stepper(Path({str(path)!r}).read_bytes())
y, state = stepper(np.ones((2, 3), np.float32), stepper.initial(2))
assert np.isfinite(y).all() and np.array_equal(y, state)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_engine_is_the_torch_engine() -> None:
    torch.manual_seed(0)
    cell = LSTM(3, 8).eval()
    native_engine = NativeEngine(step_program(cell, {"x": (3,)}), "hash")
    torch_engine = TorchEngine(cell, "hash")
    ours, theirs = native_engine.initial(), torch_engine.initial()
    for x in np.random.default_rng(0).normal(size=(20, 1, 3)).astype(np.float32):
        before = ours.copy()
        y, after = native_engine.step((x,), ours)
        np.testing.assert_array_equal(ours, before)
        want, theirs = torch_engine.step((x,), theirs)
        np.testing.assert_allclose(y, want, atol=1e-6)
        ours = after
    moved = torch_engine.load(native_engine.dump(ours))
    leaves = torch_engine.dump(moved)
    np.testing.assert_array_equal(native_engine.load(leaves), ours)
    assert native_engine.model_hash == "hash"
    with pytest.raises(StreamError):
        native_engine.load({"hidden": np.zeros((1, 8), np.float32)})
