"""What `model.probe` gives: which reading moves which step of the forecast, how far, from which value on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.explain.words import aligned, significant, span
from statewise.rows.frequency import Frequency

Floats = NDArray[np.float64]
_TENTH = 10  # events are rare: moves are ranked by the tenth of the origins where they are largest
_ALIKE = 0.8  # of the largest: a move as good as it, if it comes from a newer reading
_LEAST = 1e-6  # of the forecasts' spread: below, nothing moves
_FOOT = """\
Each reading was set to its 10 % and its 90 % quantile, the rows after it replayed; the larger change counts.
mean: over all {origins} origins. top tenth: over the origins where it is largest. spread: top tenth over the
standard deviation of that step's forecasts. One row per covariate and lag, at the step it moves most."""


@dataclass(frozen=True)
class Move:
    """A covariate's reading `lag` steps before the origin moves the forecast `step` steps ahead.

    A negative lag is a reading known ahead.
    """

    covariate: str
    lag: int
    step: int  # from 1
    mean: float  # change in units of the target, over all origins
    top: float  # over the tenth of the origins with the largest changes
    relative: float  # `top` in standard deviations of that step's forecasts

    @property
    def delay(self) -> int:
        """Steps from the reading to what it moves."""
        return self.lag + self.step


@dataclass(frozen=True, eq=False)
class Curve:
    """Mean forecast as one reading takes different values."""

    values: Floats  # of the reading, in its units
    forecast: Floats

    @property
    def threshold(self) -> float:
        """The value around which the response changes fastest (over a tenth of the values tried)."""
        width = max(1, len(self.values) // 10)
        change = np.abs(self.forecast[width:] - self.forecast[:-width])
        # Of several windows that hold the whole jump, the middle one.
        fastest = np.flatnonzero(change >= 0.95 * change.max())
        return float((self.values[fastest] + self.values[fastest + width]).mean() / 2)

    @property
    def sharpness(self) -> float:
        """Share of the whole change that happens around the threshold: 1 a jump, 0.1 a straight line."""
        width = max(1, len(self.values) // 10)
        whole = float(np.ptp(self.forecast))
        return float(np.abs(self.forecast[width:] - self.forecast[:-width]).max() / whole) if whole else 0.0


@dataclass(frozen=True, eq=False)
class Probe:
    """How far readings of C covariates at L lags moved the H steps of N forecasts; see `moves`."""

    target: str
    covariates: tuple[str, ...]
    frequency: Frequency
    lags: NDArray[np.int64] = field(repr=False)  # [L]
    changes: Floats = field(repr=False)  # [C, N, L, H] in units of the target
    spread: Floats = field(repr=False)  # [H] standard deviation of the forecasts
    curve: Curve | None = field(repr=False)

    @cached_property
    def mean(self) -> Floats:
        """Mean change [C, L, H]."""
        return np.asarray(self.changes.mean(axis=1))

    @cached_property
    def top(self) -> Floats:
        """Mean change [C, L, H] over the tenth of the origins where it is largest."""
        count = max(1, self.changes.shape[1] // _TENTH)
        return np.asarray(np.sort(self.changes, axis=1)[:, -count:].mean(axis=1))

    @cached_property
    def moves(self) -> tuple[Move, ...]:
        """One per covariate and lag, at the step it moves most, the strongest first.

        The first is the newest reading among those about as strong as the strongest. Empty: nothing moves.
        """
        found = [
            self._move(c, place, int(self.top[c, place].argmax()))
            for c in range(len(self.covariates))
            for place in range(len(self.lags))
        ]
        found = sorted((move for move in found if move.relative > _LEAST), key=lambda move: -move.top)
        if not found:
            return ()
        alike = [move for move in found if move.top >= _ALIKE * found[0].top]
        first = min(alike, key=lambda move: (abs(move.lag), -move.top))
        return (first, *(move for move in found if move is not first))

    def strongest_origins(self, move: Move) -> NDArray[np.int64]:
        """The tenth of the origins where a move is largest."""
        place = self.covariates.index(move.covariate)
        lag = int(np.searchsorted(self.lags, move.lag))
        order = np.argsort(self.changes[place, :, lag, move.step - 1])
        return order[-max(1, len(order) // _TENTH) :]

    def with_curve(self, curve: Curve) -> Probe:
        """The same probe with the response to its strongest reading."""
        return replace(self, curve=curve)

    @property
    def sentence(self) -> str:
        """The strongest move in words: "humidity now (lag 0) moves the forecast 2 hours ahead most: …"."""
        if not self.moves:
            return f"No covariate moves the forecast of {self.target}."
        move = self.moves[0]
        away = span(abs(move.lag), self.frequency)
        when = "now" if move.lag == 0 else f"{away} ago" if move.lag > 0 else f"{away} ahead"
        text = (
            f"{move.covariate} {when} (lag {move.lag}) moves the forecast {span(move.step, self.frequency)} "
            f"ahead most: {significant(move.mean)} on average, {significant(move.top)} where it matters most"
        )
        if self.curve is None:
            return f"{text}."
        return f"{text}; the forecast changes fastest around {move.covariate} = {self.curve.threshold:.4g}."

    def table(self, rows: int = 10) -> str:
        """The strongest moves."""
        lines: list[Sequence[str]] = [("", "lag", "step", "delay", "mean", "top tenth", "spread")]
        for move in self.moves[:rows]:
            place = (str(move.lag), f"+{move.step}", str(move.delay))
            sizes = (significant(move.mean), significant(move.top), f"{move.relative:.2f}")
            lines.append((move.covariate, *place, *sizes))
        head = f"{self.target}: what a single reading moves (1 step = {self.frequency.name})"
        return "\n".join([head, "", *aligned(lines), "", _FOOT.format(origins=self.changes.shape[1])])

    def __str__(self) -> str:
        return f"{self.table()}\n\n{self.sentence}"

    def to_mapping(self) -> dict[str, Any]:
        """Plain JSON values: the sentence, the moves, the response curve."""
        curve = self.curve
        return {
            "target": self.target,
            "step": self.frequency.name,
            "sentence": self.sentence,
            "moves": [{**vars(move), "delay": move.delay} for move in self.moves],
            "curve": None
            if curve is None
            else {
                "values": curve.values.tolist(),
                "forecast": curve.forecast.tolist(),
                "threshold": curve.threshold,
                "sharpness": curve.sharpness,
            },
        }

    def _move(self, c: int, place: int, h: int) -> Move:
        top, mean = float(self.top[c, place, h]), float(self.mean[c, place, h])
        relative = top / max(float(self.spread[h]), 1e-12)
        return Move(self.covariates[c], int(self.lags[place]), h + 1, mean, top, relative)
