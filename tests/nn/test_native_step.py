"""Step programs of every cell: the recurrence's own step, the same bits whatever the batch."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from statewise import state as states
from statewise.cells.table import CELLS
from statewise.core.errors import ConfigError
from statewise.core.native import extension
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.block import Block
from statewise.nn.native_step import step_program, verified
from statewise.nn.step_program import CODES
from statewise.recurrence import Recurrence
from statewise.state import State
from statewise.streaming.stepper import Stepper

pytestmark = pytest.mark.skipif(
    extension() is None or not hasattr(extension(), "Steps"), reason="the compiled kernels are not there"
)

I, H = 5, 24  # noqa: E741 - the letters of the field; H is no multiple of a register
OPTIONS: dict[str, dict[str, Any]] = {"attention": {"window": 8}}
VARIANTS = [
    ("lstm", {"layer_norm": True}),
    ("lstm", {"peephole": True, "projection_size": 10}),
    ("lstm", {"coupled_gates": True, "zoneout": 0.1, "zoneout_cell": 0.2}),
    ("gru", {"layer_norm": True}),
    ("gru", {"reset_after": False}),
    ("rnn", {"layer_norm": True, "nonlinearity": "relu"}),
    ("mamba", {"negative_eigenvalues": True}),
    ("deltanet", {"negative_eigenvalues": True}),
    ("mlstm", {"forget": "exp"}),
    ("lmu", {"feedback": True}),
]
ALL = [(name, OPTIONS.get(name, {})) for name in CELLS] + VARIANTS


def made(name: str, options: dict[str, Any], size: int = H) -> Recurrence:
    torch.manual_seed(0)
    cell = CELLS[name].make(I, size, **options).eval()
    with torch.no_grad():  # zeros at the start (gates, norms) would hide what they belong to
        for parameter in cell.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return cell


def stepper_of(cell: Recurrence, **options: Any) -> Stepper:
    return Stepper(step_program(cell, {"x": (I,)}, **options))


def random_state(cell: Recurrence, rows: int) -> State:
    """A state as after a while: what the cell itself made of noise."""
    state = cell.initial_state(rows)
    with torch.no_grad():
        for _ in range(4):
            _, state = cell.step(torch.randn(rows, I), state)
    return state


def arrays(state: State) -> dict[str, np.ndarray]:
    return {name: leaf.detach().numpy() for name, leaf in states.named(state).items()}


def worst(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.abs(got - want).max() / max(1.0, np.abs(want).max())) if want.size else 0.0


def difference(cell: Recurrence, stepper: Stepper, rows: int, steps: int) -> float:
    """The largest difference of outputs and leaves over `steps`, relative to their size."""
    torch.manual_seed(1)
    state = random_state(cell, rows)
    own = stepper.from_named(arrays(state))
    found = 0.0
    with torch.no_grad():
        for x in torch.randn(steps, rows, I):
            y, state = cell.step(x, state)
            got, own = stepper(x.numpy(), own)
            found = max(found, worst(got, y.numpy()))
    leaves = stepper.named(own)
    return max(found, *(worst(leaves[name], leaf) for name, leaf in arrays(state).items()), 0.0)


@pytest.mark.parametrize(("name", "options"), ALL)
def test_equals_the_cells_own_step(name: str, options: dict[str, Any]) -> None:
    cell = made(name, options)
    stepper = stepper_of(cell)
    want = {leaf: array.shape[1:] for leaf, array in arrays(cell.initial_state(1)).items()}
    assert {leaf: shape for leaf, (_, shape) in stepper.leaves.items()} == want
    assert difference(cell, stepper, 2, 200) < 1e-5


@pytest.mark.parametrize("name", CELLS)
def test_eight_bits_stay_near(name: str) -> None:
    cell = made(name, OPTIONS.get(name, {}), 32)
    small, whole = (step_program(cell, {"x": (I,)}, int8=int8) for int8 in (True, False))
    assert len(small) < len(whole) or name == "indrnn"  # whose one matrix is too small for it
    assert difference(cell, Stepper(small), 2, 50) < 0.1


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_bits_do_not_depend_on_the_batch(name: str, int8: bool) -> None:
    cell = made(name, OPTIONS.get(name, {}))
    stepper = stepper_of(cell, int8=int8)
    rng = np.random.default_rng(2)
    x = rng.normal(size=(256, I)).astype(np.float32)
    state = stepper.from_named(arrays(random_state(cell, 256)))
    alone = [stepper(x[row], state[row]) for row in range(256)]
    for rows in (1, 2, 3, 17, 256):
        for threads in (1, 2):
            y, after = stepper(x[:rows], state[:rows], threads)
            for row in range(rows):
                np.testing.assert_array_equal(y[row], alone[row][0])
                np.testing.assert_array_equal(after[row].view(np.int32), alone[row][1].view(np.int32))


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_what_is_not_finite_stays_in_its_row(name: str, int8: bool) -> None:
    cell = made(name, OPTIONS.get(name, {}))
    stepper = stepper_of(cell, int8=int8)
    x = np.random.default_rng(3).normal(size=(5, I)).astype(np.float32)
    state = stepper.from_named(arrays(random_state(cell, 5)))
    want, after = stepper(x, state)
    x[2] = np.nan
    got, spoilt = stepper(x, state)
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(got[others], want[others])
    np.testing.assert_array_equal(spoilt[others].view(np.int32), after[others].view(np.int32))
    assert np.isnan(np.concatenate((got[2], spoilt[2]))).any()


def test_no_rows() -> None:
    for name in CELLS:
        stepper = stepper_of(made(name, OPTIONS.get(name, {})))
        y, state = stepper(np.zeros((0, I), np.float32), stepper.initial(0))
        assert y.shape == (0, stepper.output_size)
        assert state.shape == (0, stepper.state_size)


_TARGETS = """
import sys, numpy as np
from statewise.streaming.stepper import Stepper
from pathlib import Path
folder = Path(sys.argv[1])
for path in sorted(folder.glob("*.steps")):
    stepper = Stepper(path.read_bytes())
    x, state = np.load(path.with_suffix(".npz")).values()
    for _ in range(3):
        y, state = stepper(x, state)
    np.savez(folder / f"{path.stem}.{sys.argv[2]}.out.npz", y=y, state=state)
"""


def test_all_targets_agree(tmp_path: Any) -> None:
    for name in CELLS:
        cell = made(name, OPTIONS.get(name, {}))
        for int8 in (False, True):
            program = step_program(cell, {"x": (I,)}, int8=int8)
            (tmp_path / f"{name}{int8}.steps").write_bytes(program)
            x = np.random.default_rng(4).normal(size=(3, I)).astype(np.float32)
            state = Stepper(program).from_named(arrays(random_state(cell, 3)))
            np.savez(tmp_path / f"{name}{int8}.npz", x=x, state=state)
    for target in ("plain", "avx2", "avx512"):
        command = [sys.executable, "-c", _TARGETS, str(tmp_path), target]
        subprocess.run(command, check=True, env={**os.environ, "STATEWISE_SIMD": target})
    for path in tmp_path.glob("*.steps"):
        small = path.stem.endswith("True")
        plain = np.load(tmp_path / f"{path.stem}.plain.out.npz")
        for target in ("avx2", "avx512"):
            other = np.load(tmp_path / f"{path.stem}.{target}.out.npz")
            for part in ("y", "state"):
                # In 8 bits a rounding may fall on the other side: one of 127 steps of one input.
                assert worst(other[part], plain[part]) < (2e-2 if small else 1e-5), (path.stem, target)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_cell_is_one_instruction(name: str) -> None:
    program = step_program(made(name, {}), {"x": (I,)})
    words = np.frombuffer(program, np.int32, np.frombuffer(program, np.int32, 12)[6], 48)
    codes, at = [], 0
    while at < words.size:
        codes.append(CODES[words[at]])
        at += 2 + words[at + 1]
    assert codes == ["CELL", "COPY"]


def test_blocks_and_stacks() -> None:
    torch.manual_seed(0)
    config = BackboneConfig(cell="lstm gru mamba", hidden_size=16, num_layers=3)
    for recurrence in (Backbone(I, config).eval(), Block(made("gru", {}, 12), I, 12, dropout=0.1).eval()):
        assert difference(recurrence, stepper_of(recurrence), 3, 100) < 1e-5


class Summed(Recurrence):
    """The running sum, sorted: sorting has no native form."""

    def initial_state(self, batch: int) -> State:
        return torch.zeros(batch, I)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return (x + state).sort(dim=-1).values, x + state

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        raise NotImplementedError


def test_what_has_no_native_form_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        step_program(Summed(), {"x": (I,)})
    assert str(caught.value) == "native step: no native form of aten.sort.default: use another engine."


class Written(Summed):
    """Writes a part of a tensor in place: read as a value, the whole would miss it."""

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y = torch.zeros_like(x)
        y[:, 1:] = x[:, 1:]
        return y, state


def test_what_is_written_through_a_view_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        step_program(Written(), {"x": (I,)})
    assert str(caught.value) == (
        "native step: no native form of aten.copy_.default through a view: use another engine."
    )


def test_other_numbers_are_noticed() -> None:
    cell = made("gru", {})
    program = step_program(cell, {"x": (I,)})
    assert verified(program, cell, {"x": (I,)}) is program
    with torch.no_grad():
        cell.get_parameter("recurrent_bias").add_(0.1)
    with pytest.raises(ConfigError) as caught:
        verified(program, cell, {"x": (I,)})
    assert str(caught.value) == "native step: gives other numbers than the recurrence: use another engine."


def test_a_memory_that_grows_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        step_program(CELLS["attention"].make(I, 8), {"x": (I,)})
    assert str(caught.value) == (
        "native step: the state grows with every step (keys, values), want one size "
        "(attention: give it a window)."
    )


class Moves(Recurrence):
    """What a compiler of steps may get wrong: leaves that change places, rings both ways, views of views."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(4, 4)

    def initial_state(self, batch: int) -> State:
        return (
            torch.zeros(batch, 4),
            torch.ones(batch, 4),
            torch.zeros(batch, 3, 4),
            torch.zeros(batch, 4, 3),
        )

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        a, b, down, up = state
        x = x[:, :4]
        turned = torch.stack((x, a), dim=-1).flatten(1)[:, ::2].flip(-1)
        y = self.mix(turned) + torch.einsum("bkd,bde->bke", down, up).sum(dim=(1, 2), keepdim=True)[:, 0]
        down = torch.cat((down[:, 1:], y.tanh().unsqueeze(1)), dim=1)
        up = torch.cat((x.unsqueeze(2), up[:, :, :-1]), dim=2)
        return torch.where(x > 0, y, a), (b, a + x, down, up)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        raise NotImplementedError


def test_leaves_that_change_places() -> None:
    torch.manual_seed(0)
    cell = Moves().eval()
    assert difference(cell, stepper_of(cell), 3, 20) < 1e-5
