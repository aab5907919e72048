"""What `model.explain` gives: shares, contributions, the baseline, a sentence, a table, a picture."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from statewise.explain.players import Player
from statewise.explain.words import aligned, counted, significant

Floats = NDArray[np.float64]
_FOOT = """\
Exact Shapley values: baseline + contributions = forecast (the median), step by step.
Baseline: the model's forecast with every part hidden: training means, no season, no memory.
Share: |contribution|, summed over the steps{origins}, of the sum over all parts."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Contributions of n players to the median forecast of one target over H steps, at one or more origins.

    `effects` [O, n, H], `baselines` [O, H] and `forecasts` [O, H] are per origin, in units of the target.
    """

    target: str
    series_id: str
    origins: tuple[str, ...]  # the last time each forecast knows of
    ahead: tuple[int, ...]  # steps ahead, from 1
    subject: str  # "tomorrow's forecast"
    step: str  # "1h"
    players: tuple[Player, ...] = field(repr=False)
    effects: Floats = field(repr=False)
    baselines: Floats = field(repr=False)
    forecasts: Floats = field(repr=False)

    @property
    def contributions(self) -> Floats:
        """Signed contributions [n, H] in units of the target, averaged over the origins."""
        return np.asarray(self.effects.mean(axis=0))

    @property
    def baseline(self) -> Floats:
        """The forecast [H] with every part hidden, averaged over the origins."""
        return np.asarray(self.baselines.mean(axis=0))

    @property
    def forecast(self) -> Floats:
        """The median forecast [H], averaged over the origins."""
        return np.asarray(self.forecasts.mean(axis=0))

    @property
    def shares(self) -> Mapping[str, float]:
        """Share of each player, in order: its |contribution| over all steps and origins; they add up to 1.

        All are 0 when nothing moves the forecast away from its baseline.
        """
        sizes = np.abs(self.effects).sum(axis=(0, 2))
        total = sizes.sum() if sizes.sum() > 1e-9 * np.abs(self.forecasts).sum() else np.inf
        return {player.name: float(size / total) for player, size in zip(self.players, sizes, strict=True)}

    @property
    def sentence(self) -> str:
        """The shares in one sentence, the largest first: "The last 48 hours carry 61 % of …"."""
        shares = list(self.shares.values())
        if not any(shares):
            return f"Nothing of the past moves {self.subject}: it equals the baseline."
        whole = [round(100 * share) for share in shares]
        order = sorted(range(len(shares)), key=lambda i: -shares[i])
        named = [i for i in order if whole[i] > 0]
        first, *rest = named
        player = self.players[first]
        verb = "carry" if player.plural else "carries"
        head = f"{player.phrase[0].upper()}{player.phrase[1:]} {verb} {whole[first]} % of {self.subject}"
        return ", ".join([head, *(f"{self.players[i].phrase} {whole[i]} %" for i in rest)]) + "."

    def table(self) -> str:
        """Players with their share, mean contribution and the step where they act most; then the baseline."""
        rows = [("", "share", "mean", "largest", "at step")]
        for player, share, line in zip(self.players, self.shares.values(), self.contributions, strict=True):
            peak = int(np.abs(line).argmax())
            share_text, step = f"{100 * share:.1f} %", f"+{self.ahead[peak]}"
            rows.append((player.name, share_text, _signed(line.mean()), _signed(line[peak]), step))
        rows.append(("baseline", "", significant(float(self.baseline.mean())), "", ""))
        rows.append(("forecast", "", significant(float(self.forecast.mean())), "", ""))
        foot = _FOOT.format(origins="" if len(self.origins) == 1 else " and origins")
        return "\n".join([self.heading, "", *aligned(rows), "", foot])

    @property
    def heading(self) -> str:
        """What is explained: target, series, steps, origin."""
        several = len(self.ahead) > 1
        steps = f"steps {self.ahead[0]} to {self.ahead[-1]}" if several else f"step {self.ahead[0]}"
        series = f" of {self.series_id}" if self.series_id else ""
        made = f"at {self.origins[-1]}"
        if len(self.origins) > 1:
            made = f"at {counted(len(self.origins), 'origin')} from {self.origins[0]} to {self.origins[-1]}"
        return f"{self.target}{series}, {steps} ahead ({self.step} each), forecast {made}"

    def __str__(self) -> str:
        return f"{self.table()}\n\n{self.sentence}"

    def to_mapping(self) -> dict[str, Any]:
        """Plain JSON values; contributions by player, averaged over the origins."""
        return {
            "target": self.target,
            "series_id": self.series_id,
            "origins": list(self.origins),
            "ahead": list(self.ahead),
            "step": self.step,
            "sentence": self.sentence,
            "shares": dict(self.shares),
            "contributions": {
                player.name: line.tolist()
                for player, line in zip(self.players, self.contributions, strict=True)
            },
            "baseline": self.baseline.tolist(),
            "forecast": self.forecast.tolist(),
        }

    def picture(self, path: str | os.PathLike[str]) -> Path:
        """Draw shares and contributions per step to `path` (format by suffix); gives the path."""
        from statewise.explain.picture import draw

        return draw(self, Path(path))


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else ''}{significant(value)}"
