"""The Legendre memory against scipy's discretisation, and the window that it promises to remember."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.polynomial import legendre as polynomials
from scipy.signal import cont2discrete

from statewise.cells.lmu import CHUNK, LMU, LMUState, legendre
from statewise.recurrence import run_steps


@pytest.mark.parametrize(("size", "theta"), [(1, 3.0), (6, 20.0), (32, 128.0)])
def test_dynamics_are_those_of_the_paper(size: int, theta: float) -> None:
    """As the paper's code makes them: equation 2 entry by entry, zero-order hold by scipy."""
    A, B = np.empty((size, size)), np.empty((size, 1))
    for i in range(size):
        B[i] = (2 * i + 1) * (-1) ** i
        for j in range(size):
            A[i, j] = (2 * i + 1) * (-1 if i < j else (-1) ** (i - j + 1))
    system = (A / theta, B / theta, np.eye(size), np.zeros((size, 1)))
    want_a, want_b, *_ = cont2discrete(system, dt=1.0, method="zoh")
    transition, entry = (part.numpy() for part in legendre(size, theta))
    np.testing.assert_allclose(transition, want_a, atol=1e-12)
    np.testing.assert_allclose(entry, want_b[:, 0], atol=1e-12)


def test_the_memory_holds_the_window() -> None:
    """Legendre polynomials weighed by the memory give back the input of any delay up to θ (equation 3)."""
    torch.manual_seed(0)
    theta, size = 100, 24
    cell = LMU(1, 2, channels=1, state_size=size, theta=float(theta)).double()
    with torch.no_grad():
        cell.write_weight.fill_(1.0)

    def signal(time: np.ndarray) -> np.ndarray:
        return np.sin(time / 9.0) + 0.5 * np.cos(time / 23.0)

    _, state = cell(torch.from_numpy(signal(np.arange(400))).view(1, -1, 1))
    memory = state.memory.detach().numpy()[0, 0]
    delays = np.arange(5, theta - 5)
    recalled = polynomials.legval(2 * delays / theta - 1, memory)
    # An input is held for one step, so that it stands at the middle of that step.
    np.testing.assert_allclose(recalled, signal(399.5 - delays), atol=0.01)
    assert np.abs(recalled - signal(np.array(399))).max() > 1.0  # and not just the newest value


@pytest.mark.parametrize("time", [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7])
def test_chunks_equal_steps(time: int) -> None:
    torch.manual_seed(0)
    cell = LMU(3, 4, channels=2, state_size=6, theta=30.0).double()
    x, lengths = torch.randn(3, time, 3).double(), torch.tensor([time, 0, max(1, time - 2)])
    state = LMUState(torch.randn(3, 2, 6).double(), torch.zeros(3, 0).double())
    for given in (None, lengths):
        want = run_steps(cell.step, x, state, given)
        got = cell(x, state, given)
        torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-10)


def test_feedback_is_the_unit_of_2019() -> None:
    """The paper's equations 6 and 7 with one channel, in NumPy."""
    torch.manual_seed(0)
    cell = LMU(3, 4, channels=1, state_size=5, theta=9.0, feedback=True).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.normal_()
    x = torch.randn(12, 3).double()
    w = {name: parameter.detach().numpy() for name, parameter in cell.named_parameters()}
    transition, entry = cell.transition.numpy(), cell.entry.numpy()
    h, m, rows = np.zeros(4), np.zeros(5), []
    for x_t in x.numpy():
        u = w["write_weight"] @ x_t + w["write_hidden"] @ h + w["write_memory"] @ m + w["write_bias"]
        m = transition @ m + entry * u
        total = w["input_weight"] @ x_t + w["recurrent_weight"] @ h + w["read_weight"] @ m + w["bias"]
        h = np.tanh(total)
        rows.append(h)
    y, state = cell(x[None])
    np.testing.assert_allclose(y[0].detach().numpy(), np.stack(rows), atol=1e-12)
    np.testing.assert_allclose(state.memory[0, 0].detach().numpy(), m, atol=1e-12)


def test_the_dynamics_are_not_learned_and_not_saved() -> None:
    cell = LMU(3, 4)
    assert not {"transition", "entry"} & set(cell.state_dict())
    assert not cell.transition.requires_grad
