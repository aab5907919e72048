"""What is compared: settings of `sw.fit` under a name, brought to one size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from statewise.cells.table import CELLS
from statewise.core.config import to_mapping
from statewise.core.errors import ConfigError, StatewiseError, lookup, suggestion
from statewise.training.config import TrainConfig
from statewise.training.plans.forecast import KIND

# A loop of gates, its smaller sibling, a scan, a selective scan and a window: one of each kind.
DEFAULT_CELLS = ("lstm", "gru", "mingru", "mamba", "conv")
REFERENCE = "lstm"  # its size at the shared `hidden_size` is what the others are brought to
_NOT_IN_TRAIN = {"seed", "threads", "time_budget", "checkpoint_every"}  # set by the comparison itself
DEFAULTS = {**to_mapping(KIND.backbone), "members": 1}  # of `sw.fit`, in plain values
_TRAIN = {field.name for field in fields(TrainConfig)} - _NOT_IN_TRAIN
_MULTIPLES = (4, 8, 16, 32)  # of hidden sizes; a cell with heads may refuse the finer ones
_LARGEST = 1 << 14

Cells = str | Sequence[str] | Mapping[str, Mapping[str, Any]]
Count = Callable[[int], int]


@dataclass(frozen=True)
class Candidate:
    """One competitor: what `sw.fit` is told (`model`), and what differs from the common training (`train`).

    `fixed` says that its hidden size was given, so that it is not brought to the common size.
    """

    name: str
    model: Mapping[str, Any]
    train: Mapping[str, Any]
    fixed: bool

    @property
    def hidden_size(self) -> int:
        """Units per layer."""
        return int(self.model["hidden_size"])

    def sized(self, hidden_size: int) -> Candidate:
        """The same candidate with other units per layer."""
        return replace(self, model={**self.model, "hidden_size": hidden_size})

    def changed(self, settings: Mapping[str, Any], where: str) -> Candidate:
        """The same candidate with further settings of `sw.fit` and `TrainConfig`."""
        model, train = split(settings, where)
        return replace(self, model={**self.model, **model}, train={**self.train, **train})


def candidates(cells: Cells | None, shared: Mapping[str, Any]) -> list[Candidate]:
    """The candidates that `cells` names; `shared` holds settings that all of them have.

    `cells`: names or patterns ("lstm gru"), "all" of the table, or a mapping from a name to settings of
    `sw.fit` and `TrainConfig`. Raises ConfigError for unknown names and settings.
    """
    split(shared, "model")
    named = _named(cells)
    if not named:
        raise ConfigError("cells: got none, want one or more names, such as ['lstm', 'gru'].")
    return [_candidate(name, settings, shared) for name, settings in named.items()]


def split(settings: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of `sw.fit` and of `TrainConfig`, told apart. Raises ConfigError for others."""
    for name in settings:
        if name not in DEFAULTS and name not in _TRAIN:
            hint = suggestion(str(name), [*DEFAULTS, *_TRAIN])
            raise ConfigError(f"{where}: no such setting '{name}'.{hint}")
    model = {name: value for name, value in settings.items() if name in DEFAULTS}
    return model, {name: value for name, value in settings.items() if name in _TRAIN}


def hidden_size_for(count: Count, parameters: int) -> int:
    """The hidden size whose network has nearest to `parameters` weights, by bisection on `count`.

    Multiples of 4 are tried first, then coarser ones where the cell refuses those (heads must divide).
    """
    refusal: StatewiseError | None = None
    for multiple in _MULTIPLES:
        try:
            return multiple * _nearest(count, parameters, multiple)
        except ConfigError as error:
            refusal = error
    assert refusal is not None
    raise refusal


def _nearest(count: Count, wanted: int, multiple: int) -> int:
    low, high = 1, 2
    while count(multiple * high) < wanted and high * multiple < _LARGEST:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(multiple * middle) < wanted else (low, middle)
    return min((low, high), key=lambda units: abs(count(multiple * units) - wanted))


def _named(cells: Cells | None) -> dict[str, Mapping[str, Any]]:
    if cells is None:
        cells = DEFAULT_CELLS
    if isinstance(cells, Mapping):
        return dict(cells)
    if isinstance(cells, str):
        cells = list(CELLS) if cells == "all" else [cells]
    twice = [name for number, name in enumerate(cells) if name in cells[:number]]
    if twice:
        raise ConfigError(f"cells: '{twice[0]}' is named twice.")
    return {name: {"cell": name} for name in cells}


def _candidate(name: str, settings: Mapping[str, Any], shared: Mapping[str, Any]) -> Candidate:
    where = f"cells: '{name}'"
    model, train = split({**shared, **settings}, where)
    model = {**DEFAULTS, **model}
    names = str(model["cell"]).split()
    for cell in names:
        lookup(CELLS, cell, "cell")
    if "num_layers" not in settings:
        model["num_layers"] = max(model["num_layers"], len(names))
    return Candidate(name, model, train, "hidden_size" in settings)
