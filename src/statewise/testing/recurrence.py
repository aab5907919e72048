"""The one law as one check: `check_recurrence` proves it for a module, or says what breaks and where."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from statewise.recurrence import Input, Recurrence
from statewise.testing.case import Case, starts
from statewise.testing.gradients import check_gradients
from statewise.testing.values import check_cuts, check_padding, check_rows, check_steps, check_structure


def check_recurrence(
    make: Callable[[], Recurrence],
    make_input: int | Callable[[int, int], Input],
    *,
    batch: int = 4,
    time: int = 8,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> None:
    """Prove that whole = steps = chunks holds for what `make()` gives, or raise LawError.

    `make_input` is a number of features (standard normal x [B, T, features]) or a function (batch, time) to
    x, a tensor or a tuple of tensors; floating parts are cast to float64, and so is the module. It runs in
    the mode that it comes in: what draws at random on every call (dropout between layers) has to be in
    evaluation mode, while a mask carried in the state may stay. `tolerance` bounds differences in values, and
    in gradients relative to the largest one; `batch` is at least 3 and `time` at least 4. Takes about a tenth
    of a second for a small module and leaves the caller's random state as it was.

    >>> from statewise.cells.gru import GRU
    >>> check_recurrence(lambda: GRU(3, 4), 3)
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make()
        draw = _normal(make_input) if isinstance(make_input, int) else make_input
        name = type(module).__name__
        own = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.get_default_dtype())
        batch, time = max(batch, 3), max(time, 4)
        with torch.no_grad():
            # In its own dtype too: a state that turns into float64 would not show below.
            check_structure(Case(name, module, draw, own, batch, time, tolerance, seed))
        case = Case(name, module.double(), draw, torch.float64, batch, time, tolerance, seed)
        with torch.no_grad():
            check_structure(case)
            for start in starts(case):
                for check in (check_steps, check_cuts, check_rows, check_padding):
                    check(case, start)
        check_gradients(case)


def _normal(features: int) -> Callable[[int, int], Tensor]:
    return lambda batch, time: torch.randn(batch, time, features)
