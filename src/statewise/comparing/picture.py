"""One picture of a comparison: loss against the time of a live step, and against the state of a session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from statewise.comparing.entry import Entry
from statewise.core.errors import MissingExtraError
from statewise.core.quantities import duration_text, size_text

if TYPE_CHECKING:
    from statewise.comparing.report import ComparisonReport

# Okabe & Ito (2008): told apart by every common kind of colour vision.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072B2", "#D55E00", "#009E73", "#6F6F6F"
_DECADES = 0.5  # an axis shows at least this much, so that 22.6 and 22.8 kB do not look far apart
_LETTER, _LINE = 6.3, 12.0  # size of a label's letters, in points
# Where a label may stand, seen from its point: right, then above and below, left, then further off.
_PLACES = [
    (side * (9 + 4 * ring), lift)
    for ring in range(5)
    for lift in (0, 13 + 13 * ring, -13 - 13 * ring)
    for side in (1, -1)
]


@dataclass(frozen=True)
class _Point:
    entry: Entry
    x: float
    y: float


def draw(report: ComparisonReport, path: Path) -> Path:
    """Draws the picture to `path` (format by suffix) and returns the path."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("A picture", "matplotlib", "plot") from None
    figure = Figure(figsize=(12, 5.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)  # a canvas of its own: the user's backend and open figures stay as they are
    left, right = figure.subplots(1, 2, sharey=True)
    latency = report.settings["latency"]
    _panel(left, report, _step, duration_text, latency)
    _panel(right, report, _state, size_text, None)
    left.set_xlabel("one live step (one row, one thread)", fontsize=11)
    right.set_xlabel("state of one session", fontsize=11)
    left.set_ylabel(f"{report.settings['unit']} (lower is better)", fontsize=11)
    figure.suptitle(_title(report), x=0.01, ha="left", fontsize=12.5, fontweight="bold")
    figure.supxlabel(_far_off(report, left), x=0.01, ha="left", fontsize=9, color=_GREY)
    figure.draw_without_rendering()  # settles the panels, which the labels have to keep to
    _label(left, _points(report, _step), report.recommended)
    _label(right, _points(report, _state), report.recommended)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _step(entry: Entry) -> float | None:
    return entry.step_seconds


def _state(entry: Entry) -> float | None:
    return entry.state_bytes


def _title(report: ComparisonReport) -> str:
    rival = report.settings["rival"]
    if not report.recommended:
        return "Nothing could be scored"
    if report.recommended == rival:
        limited = any(entry.over_limits for entry in report.entries)
        return f"No cell{' within the limits' if limited else ''} beats {rival} by more than luck"
    gap = report[report.recommended].gap
    better = f": {abs(gap.percent):.1f} % better" if gap is not None else ""
    return f"{report.recommended} beats {rival}, the best baseline{better}"


def _points(report: ComparisonReport, cost: Callable[[Entry], float | None]) -> list[_Point]:
    return [
        _Point(entry, x, entry.loss.mean)
        for entry in report.entries
        if entry.is_cell and entry.loss.mean is not None and (x := cost(entry)) is not None
    ]


def _panel(
    axes: Any,
    report: ComparisonReport,
    cost: Callable[[Entry], float | None],
    shown: Callable[[float], str],
    limit: float | None,
) -> None:
    points = _points(report, cost)
    axes.set_xscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, which="major", color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10)
    if points:
        _limits(axes, points, report, limit)
    _ticks(axes, shown)
    _front(axes, points)
    for point in points:
        _mark(axes, point, point.entry.name == report.recommended)
    _baselines(axes, report, named=cost is _state)
    if limit is not None:
        axes.axvspan(limit, axes.get_xlim()[1], color=_ORANGE, alpha=0.08, linewidth=0, zorder=0)
        axes.axvline(limit, color=_ORANGE, linewidth=1.2, linestyle=":")
        axes.annotate(
            f"limit {shown(limit)} ",
            (limit, 1),
            xycoords=("data", "axes fraction"),
            ha="right",
            va="top",
            fontsize=9.5,
            color=_ORANGE,
        )


def _mark(axes: Any, point: _Point, recommended: bool) -> None:
    """A dot with the spread over seeds; hollow where a limit is broken, a star where it is recommended."""
    colour = _GREEN if recommended else _BLUE
    face = "white" if point.entry.over_limits else colour
    axes.errorbar(
        [point.x],
        [point.y],
        yerr=[point.entry.loss.deviation or 0.0],
        fmt="*" if recommended else "o",
        markersize=15 if recommended else 8,
        color=colour,
        markerfacecolor=face,
        elinewidth=1.4,
        capsize=3,
        zorder=6 if recommended else 5,
    )


def _front(axes: Any, points: Sequence[_Point]) -> None:
    """The staircase of cells that no other one beats in both."""
    best: list[_Point] = []
    for point in sorted(points, key=lambda one: (one.x, one.y)):
        if not best or point.y < best[-1].y:
            best.append(point)
    if len(best) > 1:
        x, y = [one.x for one in best], [one.y for one in best]
        axes.step(x, y, where="post", color=_BLUE, linewidth=1, alpha=0.5, zorder=2)


def _baselines(axes: Any, report: ComparisonReport, named: bool) -> None:
    """Baselines cost next to nothing a step: they are lines, the best one drawn out."""
    bottom, top = axes.get_ylim()
    written: list[float] = []
    for entry in report.entries:
        if entry.is_cell or entry.loss.mean is None or not bottom <= entry.loss.mean <= top:
            continue
        best = entry.name == report.settings["rival"]
        colour = _ORANGE if best else _GREY
        axes.axhline(entry.loss.mean, color=colour, linewidth=1.6 if best else 0.9, linestyle="--", zorder=1)
        crowded = any(abs(entry.loss.mean - other) < 0.035 * (top - bottom) for other in written)
        if crowded or not named:
            continue
        written.append(entry.loss.mean)
        text = f"{entry.name}\n(best baseline)" if best else entry.name
        axes.annotate(
            text,
            (1, entry.loss.mean),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            ha="left",
            va="center",
            fontsize=9,
            color=colour,
        )


def _limits(axes: Any, points: Sequence[_Point], report: ComparisonReport, limit: float | None) -> None:
    """Room for all cells, the best baseline and the limit; hopeless baselines must not flatten them."""
    xs = [point.x for point in points] + ([limit] if limit else [])
    low, high = min(xs), max(xs)
    factor = max(1.35, (10**_DECADES * low / high) ** 0.5)
    axes.set_xlim(low / factor, high * factor)
    ys = [point.y + side * (point.entry.loss.deviation or 0) for point in points for side in (-1, 1)]
    rival = next((e.loss.mean for e in report.entries if e.name == report.settings["rival"]), None)
    ys += [rival] if rival is not None else []
    room = 0.14 * (max(ys) - min(ys)) or 0.05 * max(ys)
    axes.set_ylim(min(ys) - room, max(ys) + room)


def _ticks(axes: Any, shown: Callable[[float], str]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axes.get_xlim()
    wide = high / low
    subs = (1, 1.5, 2, 3, 4, 5, 6, 8) if wide < 12 else (1, 2, 5) if wide < 200 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: shown(value)))
    axes.xaxis.set_minor_locator(NullLocator())


def _far_off(report: ComparisonReport, axes: Any) -> str:
    """What the marks mean, and the baselines that are not in the picture."""
    bottom, top = axes.get_ylim()
    far = [
        f"{entry.name} {entry.loss.mean:.3g}"
        for entry in report.entries
        if not entry.is_cell and entry.loss.mean is not None and not bottom <= entry.loss.mean <= top
    ]
    several = report.settings["seeds"] > 1
    parts = [f"bars: standard deviation over {report.settings['seeds']} seeds"] if several else []
    if any(entry.over_limits for entry in report.entries):
        parts.append("hollow: over a limit")
    parts += [f"not shown: {', '.join(far)}"] if far else []
    return "; ".join(parts)


def _label(axes: Any, points: Sequence[_Point], recommended: str) -> None:
    """Names beside the points, each at the first place where it covers nothing."""
    scale = 72 / axes.figure.dpi
    spots = {id(p): axes.transData.transform((p.x, p.y)) * scale for p in points}
    window = [value * scale for value in axes.get_window_extent().extents]
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in spots.values()]
    for point in points:
        x, y = spots[id(point)]
        width = _LETTER * len(point.entry.name)
        boxes = [_box(x + dx, y + dy, width, dx > 0) for dx, dy in _PLACES]
        free = (place for place, box in enumerate(boxes) if _inside(box, window) and not _meets(box, taken))
        place = next(free, 0)
        taken.append(boxes[place])
        dx, dy = _PLACES[place]
        bold = point.entry.name == recommended
        axes.annotate(
            point.entry.name,
            (point.x, point.y),
            xytext=(dx, dy),
            textcoords="offset points",
            ha="left" if dx > 0 else "right",
            va="center",
            fontsize=10,
            fontweight="bold" if bold else "normal",
            color=_GREEN if bold else "black",
            arrowprops={"arrowstyle": "-", "color": _GREY, "linewidth": 0.6} if abs(dy) > 20 else None,
            zorder=7,
        )


def _box(x: float, y: float, width: float, rightwards: bool) -> tuple[float, float, float, float]:
    low, high = (x, x + width) if rightwards else (x - width, x)
    return low, y - _LINE / 2, high, y + _LINE / 2


def _inside(box: tuple[float, float, float, float], window: Sequence[float]) -> bool:
    return box[0] >= window[0] and box[1] >= window[1] and box[2] <= window[2] and box[3] <= window[3]


def _meets(box: tuple[float, ...], others: Sequence[tuple[float, ...]]) -> bool:
    return any(box[0] < o[2] and o[0] < box[2] and box[1] < o[3] and o[1] < box[3] for o in others)
