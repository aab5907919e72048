"""Scores of models beside the dumb baselines, with the spread over seeds, as one table and one sentence."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MODEL = "model"  # the name of the models' own row
Values = tuple[float, ...]  # one per seed


@dataclass(frozen=True)
class Metric:
    """A column: its name, which way is better, and how many decimals are shown."""

    name: str
    higher_is_better: bool = True
    decimals: int = 3


@dataclass(frozen=True)
class ScoreReport:
    """Scores of one task on `rows` rows: {system: {metric: one value per seed}}, the models under "model".

    The first metric is the one that counts; `notes` say what a reader must know (what was left out, cut …).
    """

    kind: str
    rows: int
    metrics: tuple[Metric, ...]
    systems: Mapping[str, Mapping[str, Values]]
    notes: tuple[str, ...] = ()

    def value(self, metric: str, system: str = MODEL) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.systems[system][metric])

    def spread(self, metric: str, system: str = MODEL) -> float:
        """Standard deviation over the seeds; 0 for one."""
        values = self.systems[system][metric]
        return statistics.stdev(values) if len(values) > 1 else 0.0

    @property
    def verdict(self) -> str:
        """Whether the model beats the best baseline in the metric that counts, and by how much."""
        metric = self.metrics[0]
        others = [name for name, found in self.systems.items() if name != MODEL and metric.name in found]
        if not others:
            return "No baseline stands beside it: give the training rows with train=."
        sign = 1 if metric.higher_is_better else -1
        best = max(others, key=lambda name: sign * self.value(metric.name, name))
        ahead = sign * (self.value(metric.name) - self.value(metric.name, best))
        shown = f"{abs(ahead):.{metric.decimals}f}"
        if float(shown) == 0:
            return f"The model only equals the baseline '{best}' in {metric.name}. Use that."
        if ahead > 0:
            return f"The model beats the best baseline ({best}) by {shown} in {metric.name}."
        return (
            f"The model does not beat the baseline '{best}': it is {shown} behind in {metric.name}. Use that."
        )

    def to_mapping(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "kind": self.kind,
            "rows": self.rows,
            "systems": {
                name: {metric: list(values) for metric, values in found.items()}
                for name, found in self.systems.items()
            },
            "verdict": self.verdict,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        """The table, the verdict, the notes."""
        head = ["", *(metric.name for metric in self.metrics)]
        lines = [head, *([name, *self._cells(name)] for name in self.systems)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        rows = ["  ".join(_padded(line, widths)).rstrip() for line in lines]
        seeds = max((len(values) for values in self.systems[MODEL].values()), default=1)
        counted = f"{self.rows:,} rows" + (f", {seeds} seeds (± standard deviation)" if seeds > 1 else "")
        return "\n".join([f"{self.kind}: {counted}", *rows, self.verdict, *self.notes])

    def _cells(self, system: str) -> list[str]:
        cells = []
        for metric in self.metrics:
            values = self.systems[system].get(metric.name)
            spread = (
                "" if not values or len(values) < 2 else f" ± {statistics.stdev(values):.{metric.decimals}f}"
            )
            cells.append(f"{statistics.fmean(values):.{metric.decimals}f}{spread}" if values else "–")
        return cells


def merged(parts: Sequence[Mapping[str, float]]) -> dict[str, Values]:
    """The scores of several seeds, metric by metric."""
    return {metric: tuple(part[metric] for part in parts) for metric in parts[0]}


def _padded(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    first, *rest = zip(cells, widths, strict=True)
    return [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
