"""Before training: candidates brought to one size, and what a live step of each costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from statewise.comparing.candidates import REFERENCE, Candidate, candidates, hidden_size_for
from statewise.comparing.job import told
from statewise.comparing.live_cost import LiveCost, live_costs, longest
from statewise.comparing.untrained import Ground, parameters
from statewise.models.forecast import ForecastModel


@dataclass(frozen=True)
class Contestant:
    """A candidate of its final size, its number of weights and its live cost; or why it cannot take part."""

    candidate: Candidate
    parameters: int | None = None
    cost: LiveCost | None = None
    error: str = ""


def reference_size(base: Ground, shared: Mapping[str, Any]) -> int:
    """Weights of an LSTM of the shared hidden size."""
    (reference,) = candidates([REFERENCE], {k: v for k, v in shared.items() if k != "cell"})
    return parameters(base.model(reference.model))


def sized(base: Ground, candidate: Candidate, wanted: int | None) -> Candidate:
    """The candidate with nearest to `wanted` weights (None, or its size was given: as it is)."""
    if wanted is None or candidate.fixed:
        return candidate
    counted: dict[int, int] = {}

    def count(hidden_size: int) -> int:
        if hidden_size not in counted:
            counted[hidden_size] = parameters(base.model(candidate.sized(hidden_size).model))
        return counted[hidden_size]

    return candidate.sized(hidden_size_for(count, wanted))


def prepare(base: Ground, chosen: Sequence[Candidate], wanted: int | None) -> list[Contestant]:
    """The contestants, in order. One that cannot be built or stepped carries its error."""
    found: dict[str, Contestant] = {}
    models: dict[str, ForecastModel] = {}
    for candidate in chosen:
        try:
            final = sized(base, candidate, wanted)
            models[candidate.name] = base.model(final.model)
            found[candidate.name] = Contestant(final, parameters(models[candidate.name]))
        except Exception as error:  # one cell that fails must not end the comparison
            found[candidate.name] = Contestant(candidate, error=told(error))
    for name, cost in live_costs(models, longest(base.rows.series)).items():
        one = found[name]
        if isinstance(cost, LiveCost):
            found[name] = Contestant(one.candidate, one.parameters, cost)
        else:
            found[name] = Contestant(one.candidate, one.parameters, error=told(cost))
    return list(found.values())
