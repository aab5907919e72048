"""One picture of an explanation: the shares as bars, and how the parts add up at every step ahead."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from statewise.core.errors import MissingExtraError

if TYPE_CHECKING:
    from statewise.explain.explanation import Explanation

# Okabe & Ito (2008), then the same again with hatches; black is kept for the forecast.
_COLOURS = ("#0072B2", "#56B4E9", "#6F6F6F", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442")
_HATCHES = (None, "///")


def draw(explanation: Explanation, path: Path) -> Path:
    """Draws the picture to `path` (format by suffix) and returns the path."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("A picture", "matplotlib", "plot") from None
    figure = Figure(figsize=(11, 5.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)  # a canvas of its own: the user's backend and open figures stay as they are
    figure.suptitle(fill(explanation.sentence, 105), x=0.01, ha="left", fontsize=12, fontweight="bold")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.7))
    _shares(left, explanation)
    _steps(right, explanation)
    figure.supxlabel(explanation.heading, x=0.01, ha="left", fontsize=9, color="#444444")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _look(place: int) -> dict[str, Any]:
    colour = _COLOURS[place % len(_COLOURS)]
    return {"color": colour, "hatch": _HATCHES[place // len(_COLOURS) % 2], "edgecolor": "white"}


def _style(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10)


def _shares(axes: Any, explanation: Explanation) -> None:
    """One bar per part, in the order of the table."""
    shares = explanation.shares
    for place, share in enumerate(shares.values()):
        axes.barh(place, share, **_look(place))
        axes.annotate(f"{100 * share:.0f} %", (share, place), (4, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(shares)), list(shares))
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.xaxis.set_visible(False)
    axes.spines["bottom"].set_visible(False)
    _style(axes, "Share of what moves the forecast off its baseline")


def _steps(axes: Any, explanation: Explanation) -> None:
    """Signed contributions stacked at every step, and the change from the baseline that they add up to."""
    from matplotlib.ticker import MaxNLocator

    ahead, lines = np.array(explanation.ahead), explanation.contributions
    width = float(np.diff(ahead).min()) if len(ahead) > 1 else 0.6
    tops = {sign: np.zeros(len(ahead)) for sign in (1, -1)}
    for place, line in enumerate(lines):
        for sign in (1, -1):
            part = np.where(sign * line > 0, line, 0.0)
            axes.bar(ahead, part, width, tops[sign], linewidth=0.3, **_look(place))
            tops[sign] = tops[sign] + part
    change = explanation.forecast - explanation.baseline
    marker = "o" if len(ahead) < 40 else None
    axes.plot(ahead, change, color="black", linewidth=1.8, marker=marker, markersize=4, label="forecast")
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlim(ahead[0] - 0.75, ahead[-1] + 0.75)
    axes.margins(y=0.06)
    axes.use_sticky_edges = False
    axes.grid(True, axis="y", color="#DDDDDD", linewidth=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel(f"steps ahead (1 step = {explanation.step})", fontsize=10)
    axes.set_ylabel(f"{explanation.target}: change from the baseline", fontsize=10)
    axes.legend(frameon=False, fontsize=10, loc="best")
    baseline = explanation.baseline
    low, high = (f"{value:.4g}" for value in (baseline.min(), baseline.max()))
    _style(axes, f"How the parts add up (baseline {low if low == high else f'{low} to {high}'})")
