"""Less memory, the same gradients: the law, plain backpropagation beside it, and the memory itself."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import statewise as sw
from statewise import state as states
from statewise.cells.gru import GRU
from statewise.cells.lstm import LSTM
from statewise.core.errors import ConfigError, ShapeError
from statewise.nn.backbone import Backbone, BackboneConfig
from statewise.nn.checkpointed import Checkpointed
from statewise.nn.checkpointed_loss import CheckpointedLoss
from statewise.nn.footprint import step_bytes
from statewise.nn.memory import MemoryBudget, parse_memory
from statewise.recurrence import Recurrence, run_steps
from statewise.state import State
from statewise.testing.compare import difference


class CountState(NamedTuple):
    total: Tensor  # [B, H]
    steps: Tensor  # [B], whole numbers


class Counting(Recurrence):
    """A running mix of x whose state holds whole numbers too; two inputs; counts the steps it takes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.mix = nn.Linear(size, size)
        self.taken = 0

    def initial_state(self, batch: int) -> CountState:
        like = self.mix.weight
        return CountState(like.new_zeros(batch, like.shape[0]), torch.zeros(batch, dtype=torch.long))

    def step(self, x: tuple[Tensor, Tensor], state: CountState) -> tuple[Tensor, CountState]:
        self.taken += 1
        total = torch.tanh(self.mix(state.total) + x[0] * x[1])
        return total + state.steps.unsqueeze(1), CountState(total, state.steps + 1)

    def forward(
        self, x: tuple[Tensor, Tensor], state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        state = self.initial_state(x[0].shape[0]) if state is None else state
        if x[0].shape[0] * x[0].shape[1] == 0:
            return x[0].new_zeros(x[0].shape), state
        return run_steps(self.step, x, state, lengths)


def two_layers(**fields: Any) -> Backbone:
    return Backbone(3, BackboneConfig("lstm gru", hidden_size=4, num_layers=2, **fields))


@pytest.mark.parametrize("memory", ["1 steps", "3 steps", 0.85])
def test_law(memory: str | float) -> None:
    sw.testing.check_recurrence(lambda: Checkpointed(GRU(3, 16), memory).eval(), 3, time=6)


def test_law_of_masks_and_stacks() -> None:
    dropping = {"recurrent_dropout": 0.3, "initial": "random"}
    sw.testing.check_recurrence(lambda: Checkpointed(LSTM(3, 4, **dropping), "3 steps"), 3)  # type: ignore[arg-type]
    sw.testing.check_recurrence(lambda: Checkpointed(two_layers(initial="learned"), "3 steps"), 3)
    sw.testing.check_recurrence(lambda: Checkpointed(Checkpointed(GRU(3, 4), "1 steps"), "3 steps"), 3)


@pytest.mark.parametrize("cell", ["s5", "mamba", "deltanet", "conv", "attention"])
def test_law_of_every_kind_of_state(cell: str) -> None:
    config = BackboneConfig(cell, hidden_size=4)
    sw.testing.check_recurrence(lambda: Checkpointed(Backbone(3, config), "3 steps"), 3)


def test_law_of_several_inputs_and_whole_numbers() -> None:
    def draw(batch: int, time: int) -> tuple[Tensor, Tensor]:
        return torch.randn(batch, time, 4), torch.randn(batch, time, 4)

    sw.testing.check_recurrence(lambda: Checkpointed(Counting(4), "3 steps"), draw)


def gradients(
    network: Recurrence, x: Tensor, state: State, lengths: Tensor | None = None, seed: int = 0
) -> tuple[Tensor, list[Tensor | None]]:
    """Outputs, and gradients of x, state and weights of a loss on both outputs and final state."""
    leaves = [leaf.clone().requires_grad_() for leaf in states.tensors((x, state))]
    x, state = states.from_tensors((x, state), leaves)
    torch.manual_seed(seed)
    y, after = network(x, state, lengths)
    loss = (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum()
    loss = loss + sum((leaf**2).sum() for leaf in states.tensors(after))
    return y.detach(), list(torch.autograd.grad(loss, [*leaves, *network.parameters()], allow_unused=True))


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 3e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("memory", ["1 steps", "7 steps", 0.4, 0.9])
@pytest.mark.parametrize("ragged", [False, True])
def test_gradients_are_those_of_plain_backpropagation(
    dtype: torch.dtype, bound: float, memory: str | float, ragged: bool
) -> None:
    torch.manual_seed(0)
    cell = LSTM(3, 24).to(dtype)
    x, state = torch.randn(4, 50, 3, dtype=dtype), cell(torch.randn(4, 2, 3, dtype=dtype))[1]
    state = states.detach(state)
    lengths = torch.tensor([50, 0, 13, 1]) if ragged else None
    want_y, want = gradients(cell, x, state, lengths)
    network = Checkpointed(cell, memory)
    assert network.plan(x, state).runs > 1
    got_y, got = gradients(network, x, state, lengths)
    torch.testing.assert_close(got_y, want_y, atol=bound, rtol=0)
    for a, b in zip(got, want, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert difference(a, b)[0] <= bound * max(1.0, difference(b, 0 * b)[0])


def test_draws_between_layers_are_repeated() -> None:
    """Dropout of half of everything: gradients with other draws would be far off those of differences."""
    torch.manual_seed(0)
    network = Checkpointed(two_layers(dropout=0.5), "2 steps").double()
    x = torch.randn(2, 5, 3, dtype=torch.float64)

    def run(*_: Tensor) -> Tensor:
        torch.manual_seed(1)
        return network(x)[0]

    weights = tuple(weight for weight in network.parameters() if weight.dim() == 1)
    assert torch.autograd.gradcheck(run, weights)


def test_random_state_after_both_ways_is_that_of_one_forward_pass() -> None:
    network = Checkpointed(two_layers(dropout=0.5), "2 steps")
    x = torch.randn(2, 9, 3)
    torch.manual_seed(3)
    y, _ = network(x)
    after = torch.get_rng_state()
    y.sum().backward()
    assert torch.equal(torch.get_rng_state(), after)
    torch.manual_seed(3)
    with torch.no_grad():
        for start in range(-1, 9, 2):  # runs are counted from the end
            network.recurrence(x[:, max(start, 0) : start + 2])
    assert torch.equal(torch.get_rng_state(), after)


def test_backwards_twice() -> None:
    cell = GRU(3, 4).double()
    network = Checkpointed(cell, "3 steps")
    y, _ = network(torch.randn(2, 10, 3, dtype=torch.float64))
    first = torch.autograd.grad(y.sum(), list(cell.parameters()), retain_graph=True)
    again = torch.autograd.grad(y.sum(), list(cell.parameters()))
    for a, b in zip(first, again, strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0)


def test_repeated_steps_are_those_planned() -> None:
    counting = Counting(4)
    network = Checkpointed(counting, "4 steps")
    x = (torch.randn(2, 20, 4), torch.randn(2, 20, 4))
    y, _ = network(x)
    y.sum().backward()
    assert counting.taken == 20 + 16  # all but the last run are gone through again


def test_nothing_is_repeated_without_a_gradient() -> None:
    counting = Counting(4)
    network = Checkpointed(counting, "4 steps")
    x = (torch.randn(2, 20, 4), torch.randn(2, 20, 4))
    with torch.no_grad():
        network(x)
    assert counting.taken == 20


def test_half_precision_on_the_way_back_too() -> None:
    torch.manual_seed(0)
    cell, x = two_layers(), torch.randn(2, 10, 3)
    found = []
    for network in (cell, Checkpointed(cell, "4 steps")):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y, _ = network(x)
        found.append(torch.autograd.grad(y.float().sum(), list(cell.parameters())))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=0.05, rtol=0.05)


def peak(run: Any) -> float:
    """Bytes a step of the longer of two trials adds."""
    return float(step_bytes(run, 10_000, [])[1])


def test_memory_is_what_was_asked_for() -> None:
    """The measure itself on a known case, then the peak of a walk with the budget it was given."""
    from statewise.nn.footprint import _Live

    cell, x = GRU(8, 32), torch.randn(4, 600, 8)
    state = cell.initial_state(4)
    with _Live([x, *cell.parameters()]) as plain:
        cell(x, state)[0].sum().backward()
    for budget in (0.25, 0.5):
        network = Checkpointed(cell, budget)
        network(x[:, :100], state)  # measures
        with _Live([x, *cell.parameters()]) as live:
            network(x, state)[0].sum().backward()
        outputs = 2 * 4 * 600 * 32 * 4  # of the whole sequence, and their gradient
        assert live.peak <= 1.1 * budget * plain.peak + outputs


def test_measure_of_a_known_thing() -> None:
    def trial(steps: int) -> None:
        x = torch.ones(steps, 100, requires_grad=True)
        y = (x * 2).exp()  # kept: x, y; in between: x * 2, which goes at once
        y.backward(torch.zeros_like(y))

    fixed, step = step_bytes(trial, 1000, [])
    assert step in range(1200, 2001, 400)  # floats of 100 units: three to five of them at the peak
    assert fixed == 0


@pytest.mark.parametrize("memory", ["4 steps", 0.5])
def test_loss_in_runs_is_the_loss(memory: str | float) -> None:
    torch.manual_seed(0)
    cell, head = LSTM(3, 24).double(), nn.Linear(24, 2).double()
    x, target = torch.randn(4, 50, 3).double(), torch.randn(4, 50, 2).double()

    class Squares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = head

        def forward(self, y: Tensor, target: Tensor) -> Tensor:
            return ((self.head(y) - target) ** 2).sum()

    state = cell.initial_state(4)
    first = state._replace(hidden=state.hidden.requires_grad_())
    leaves = [first.hidden, *cell.parameters(), *head.parameters()]
    y, want_after = cell(x, first)
    want_loss = Squares()(y, target) / 7
    want = torch.autograd.grad(want_loss, leaves)
    total, after = CheckpointedLoss(cell, Squares(), memory)(x, target, first)
    got = torch.autograd.grad(total / 7, leaves)
    torch.testing.assert_close(total / 7, want_loss, atol=1e-9, rtol=0)
    for a, b in zip((*got, *states.tensors(after)), (*want, *states.tensors(want_after)), strict=True):
        torch.testing.assert_close(a, b.detach(), atol=1e-9, rtol=0)
    with torch.no_grad():
        alone, _ = CheckpointedLoss(cell, Squares(), memory)(x, target, first)
    torch.testing.assert_close(alone, total.detach(), atol=1e-9, rtol=0)


def test_loss_of_uneven_rows() -> None:
    torch.manual_seed(0)
    cell, lengths = GRU(3, 5).double(), torch.tensor([20, 0, 7])
    x, target = torch.randn(3, 20, 3).double(), torch.zeros(3, 20, 5).double()

    def loss(y: Tensor, target: Tensor) -> Tensor:
        return ((y - target) ** 2).sum()

    want = torch.autograd.grad(loss(cell(x, None, lengths)[0], target), list(cell.parameters()))
    total, _ = CheckpointedLoss(cell, loss, "6 steps")(x, target, None, lengths)
    got = torch.autograd.grad(total, list(cell.parameters()))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)


def test_loss_goes_on_drawing() -> None:
    """Two calls after each other must not see the same draws."""
    torch.manual_seed(0)
    backbone = two_layers(dropout=0.5)
    loss = CheckpointedLoss(backbone, lambda y, _: y.sum(), "3 steps")
    x, target = torch.randn(2, 10, 3), torch.zeros(2, 10)
    one, two = (loss(x, target)[0].item() for _ in range(2))
    assert one != two


def test_loss_refuses_inputs_that_learn() -> None:
    loss = CheckpointedLoss(GRU(3, 4), lambda y, _: y.sum())
    with pytest.raises(ShapeError) as error:
        loss(torch.zeros(1, 5, 3, requires_grad=True), torch.zeros(1, 5))
    want = "checkpointed loss: x needs a gradient, which it does not get: use Checkpointed."
    assert str(error.value) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("50 MB", MemoryBudget(bytes=50_000_000)),
        (2e6, MemoryBudget(bytes=2_000_000)),
        (0.25, MemoryBudget(share=0.25)),
        ("128 steps", MemoryBudget(steps=128)),
        ("1 step", MemoryBudget(steps=1)),
    ],
)
def test_memory_as_people_write_it(text: str | float, want: MemoryBudget) -> None:
    assert parse_memory(text) == want


@pytest.mark.parametrize("text", ["big", "0 steps", 0, -1, True, "50 parsecs"])
def test_what_is_no_memory_is_refused(text: Any) -> None:
    with pytest.raises(ConfigError) as error:
        parse_memory(text)
    want = "want a size such as '50 MB', a share up to 1, or '128 steps'."
    assert str(error.value) == f"memory: got {text!r}, {want}"
