"""LRU against the paper's lines in complex numbers, S5 against a dense real system; first values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch import Tensor
from torch.nn import functional

from statewise.cells.lru import LRU
from statewise.cells.s5 import S5, hippo_eigen


def as_complex(weight: Tensor, axis: int) -> np.ndarray:
    real, imag = weight.detach().unflatten(axis, (-1, 2)).unbind(axis + 1)
    return real.numpy() + 1j * imag.numpy()


def side_by_side(weight: np.ndarray, axis: int) -> Tensor:
    parts = torch.from_numpy(np.stack((weight.real, weight.imag), axis + 1))
    return parts.flatten(axis, axis + 1)


@pytest.mark.parametrize("sizes", [(3, 5), (4, 4)])
def test_lru_is_the_recurrence_of_appendix_a(sizes: tuple[int, int]) -> None:
    torch.manual_seed(0)
    cell = LRU(*sizes, state_size=6, gated=False).double()
    x = torch.randn(20, sizes[0]).double()
    nu, theta, gamma = (p.detach().numpy() for p in (cell.log_decay, cell.log_phase, cell.log_scale))
    lam = np.exp(-np.exp(nu) + 1j * np.exp(theta))
    B = np.exp(gamma)[:, None] * as_complex(cell.input_weight, 0)
    C = as_complex(cell.output_weight, 1).conj()  # the cell keeps -Im C
    D = cell.around.weight.detach().numpy()
    h, rows = np.zeros(6, dtype=complex), []
    for u in x.numpy():
        h = lam * h + B @ u
        rows.append((C @ h).real + (D * u if D.ndim == 1 else D @ u))
    y, state = cell(x[None])
    np.testing.assert_allclose(y[0].detach().numpy(), np.stack(rows), atol=1e-12)
    np.testing.assert_allclose(
        state.real[0].detach().numpy() + 1j * state.imag[0].detach().numpy(), h, atol=1e-12
    )


def test_lru_starts_on_the_ring_with_unit_states() -> None:
    torch.manual_seed(0)
    cell = LRU(8, 8, state_size=2000, radius_min=0.8, radius_max=0.98, max_phase=math.pi / 10)
    radius = torch.hypot(*cell._multiplier()).detach()
    assert 0.8 <= radius.min() < 0.81
    assert 0.97 < radius.max() <= 0.98
    # uniform on the area of the ring: half of it lies outside this radius
    assert (radius > math.sqrt((0.8**2 + 0.98**2) / 2)).float().mean().item() == pytest.approx(0.5, abs=0.05)
    phase = torch.atan2(*reversed(cell._multiplier())).detach()
    assert phase.min() > 0
    assert phase.max() <= math.pi / 10
    with torch.no_grad():  # γ: white noise of variance 1 gives states of variance 1, whatever their radius
        _, state = cell(torch.randn(4, 600, 8))
    assert (state.real.square() + state.imag.square()).mean().item() == pytest.approx(1.0, rel=0.1)


def test_lru_gate_is_glu_of_gelu() -> None:
    torch.manual_seed(0)
    gated, bare = LRU(3, 4, state_size=5), LRU(3, 4, state_size=5, gated=False)
    assert gated.gate is not None
    bare.load_state_dict({name: part for name, part in gated.state_dict().items() if "gate" not in name})
    x = torch.randn(2, 7, 3)
    value, gate = gated.gate(functional.gelu(bare(x)[0])).chunk(2, -1)
    torch.testing.assert_close(gated(x)[0], value * gate.sigmoid())


def hippo_normal(size: int) -> np.ndarray:
    """HiPPO-N entry by entry (Smith et al. 2023, equation 9)."""
    A = np.empty((size, size))
    for n in range(size):
        for k in range(size):
            root = math.sqrt((n + 0.5) * (k + 0.5))
            A[n, k] = -0.5 if n == k else (-root if n > k else root)
    return A


def test_hippo_eigenvectors() -> None:
    values, vectors = (part.numpy() for part in hippo_eigen(16))
    np.testing.assert_allclose(vectors @ np.diag(values) @ vectors.conj().T, hippo_normal(16), atol=1e-12)
    assert (values[:8].imag < 0).all()
    np.testing.assert_allclose(values[8:].imag, -values[:8].imag[::-1], atol=1e-10)


def test_s5_is_the_dense_system_held_between_steps() -> None:
    """N real states with HiPPO-N, exp(A Δ) by scipy: what N / 2 complex states stand for."""
    torch.manual_seed(0)
    size, delta = 8, 0.05
    cell = S5(3, 4, state_size=size, gated=False).double()
    rng = np.random.default_rng(0)
    A, B, C = hippo_normal(size), rng.normal(size=(size, 3)), rng.normal(size=(4, size))
    values, vectors = hippo_eigen(size)
    half = vectors.numpy()[:, : size // 2]
    weight_in, weight_out = half.conj().T @ B, C @ half
    with torch.no_grad():
        cell.decay.copy_(values.real[: size // 2])
        cell.frequency.copy_(values.imag[: size // 2])
        cell.log_step.fill_(math.log(delta))
        cell.input_weight.copy_(side_by_side(weight_in, 0))
        cell.output_weight.copy_(side_by_side(weight_out.conj(), 1))
    x = rng.normal(size=(40, 3))
    held = expm(A * delta)
    entry = np.linalg.solve(A, held - np.eye(size)) @ B
    h, rows, D = np.zeros(size), [], cell.around.weight.detach().numpy()
    for u in x:
        h = held @ h + entry @ u
        rows.append(C @ h + D @ u)
    y, _ = cell(torch.from_numpy(x)[None])
    np.testing.assert_allclose(y[0].detach().numpy(), np.stack(rows), atol=1e-11)


def test_s5_first_values() -> None:
    torch.manual_seed(0)
    cell = S5(16, 16, state_size=512)
    assert (cell.decay == -0.5).all()
    steps = cell.log_step.detach().exp()
    assert 0.001 <= steps.min() < 0.0012
    assert 0.08 < steps.max() <= 0.1
    assert steps.log().mean().item() == pytest.approx(math.log(0.01), abs=0.3)  # log-uniform
    size = as_complex(cell.input_weight, 0)
    assert (np.abs(size) ** 2).sum() == pytest.approx(512 * 16 / 16 / 2, rel=0.05)  # half of a LeCun B


def test_s5_never_grows() -> None:
    cell = S5(2, 3, state_size=4, gated=False)
    with torch.no_grad():
        cell.decay.fill_(1.0)
    multiplier, _ = cell._discrete()
    assert (torch.hypot(*multiplier) < 1).all()


def test_s5_gate_multiplies_by_its_own_sigmoid() -> None:
    torch.manual_seed(0)
    gated, bare = S5(3, 4, state_size=6), S5(3, 4, state_size=6, gated=False)
    assert gated.gate is not None
    bare.load_state_dict({name: part for name, part in gated.state_dict().items() if "gate" not in name})
    x = torch.randn(2, 7, 3)
    g = functional.gelu(bare(x)[0])
    torch.testing.assert_close(gated(x)[0], g * gated.gate(g).sigmoid())
