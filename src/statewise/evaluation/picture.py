"""One picture of a backtest: forecast fan over what happened, skill by horizon, reliability."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from statewise.core.errors import ConfigError, MissingExtraError, suggestion

if TYPE_CHECKING:
    from statewise.evaluation.report import BacktestReport

# Okabe & Ito (2008): told apart by every common kind of colour vision; black is kept for what happened.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_GREY = "#6F6F6F"
_MARKERS = ("o", "s", "^", "D", "v", "P")
# Legible, yet few enough that the fans do not shrink to stripes.
_ORIGINS_SHOWN = 4


def draw(report: BacktestReport, path: Path, series: str | None, target: str | None) -> Path:
    """Draws the picture of one series and target to `path` (format by suffix) and returns the path."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("A picture", "matplotlib", "plot") from None
    series = _choose(series, report.forecasts["unique_id"].unique(maintain_order=True).to_list(), "series")
    target = _choose(target, report.forecasts["target"].unique(maintain_order=True).to_list(), "target")
    figure = Figure(figsize=(11, 8), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)  # a canvas of its own: the user's backend and open figures stay as they are
    grid = figure.add_gridspec(2, 2, height_ratios=(1.15, 1.0))
    _fan(figure.add_subplot(grid[0, :]), report, series, target)
    _skill(figure.add_subplot(grid[1, 0]), report, target)
    _reliability(figure.add_subplot(grid[1, 1]), report, target)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _choose(wanted: str | None, options: list[str], kind: str) -> str:
    if wanted is None:
        return options[0]
    if wanted not in options:
        raise ConfigError(f"{kind}: no such {kind} '{wanted}' in the backtest.{suggestion(wanted, options)}")
    return wanted


def _style(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color="#DDDDDD", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=10)


def _fan(axes: Any, report: BacktestReport, series: str, target: str) -> None:
    """Median and central intervals of the best model from the last few origins, over the actuals."""
    model, best = report.models[0], next(iter(_baselines(report, target)), None)
    mine = (pl.col("unique_id") == series) & (pl.col("target") == target)
    rows = report.forecasts.filter(mine & (pl.col("model") == model))
    cutoffs = _shown_cutoffs(report, rows)
    actual = report.actuals.filter(mine & (pl.col("ds") >= _start(report, cutoffs[0]))).sort("ds")
    axes.plot(
        actual["ds"].to_numpy(),
        actual["y"].to_numpy(),
        color="black",
        linewidth=1.5,
        label="actual",
        zorder=4,
    )
    for number, cutoff in enumerate(cutoffs):
        window = rows.filter(pl.col("cutoff") == cutoff).sort("horizon")
        _one_fan(axes, window, model, labelled=number == 0)
        axes.axvline(cutoff, color=_GREY, linewidth=0.9, linestyle=":", zorder=1)
        if best:
            other = report.forecasts.filter(mine & (pl.col("model") == best))
            other = other.filter(pl.col("cutoff") == cutoff).sort("horizon")
            label = f"{best} (best baseline)" if number == 0 else None
            line = axes.plot(other["ds"].to_numpy(), _point(other), label=label, zorder=3)[0]
            line.set(color=_COLOURS[1], linewidth=1.2, linestyle="--")
    _style(axes, f"Forecasts from {len(cutoffs)} origins (dotted) and what happened{_of(report, series)}")
    axes.set_ylabel(target, fontsize=11)
    axes.margins(x=0.01)
    shown = rows.filter(pl.col("cutoff").is_in(cutoffs)).select(
        pl.col("^(mean|q0.1|q0.5|q0.9)$").cast(pl.Float64)
    )
    _clip_to(axes, [actual["y"].to_numpy(), *(column.to_numpy() for column in shown)])
    _dates(axes, report)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.1),
        ncols=5,
        fontsize=9.5,
        frameon=False,
        columnspacing=1.2,
    )


def _dates(axes: Any, report: BacktestReport) -> None:
    """Ticks on the clock of the rows; the forecasts themselves stand in UTC where that clock has a zone."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    zone = report.settings["timezone"] or "UTC"
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))  # type: ignore[no-untyped-call]


def _clip_to(axes: Any, shown: list[np.ndarray[Any, Any]]) -> None:
    """A baseline far off must not flatten what happened and the fan."""
    values = np.concatenate([part.astype(float) for part in shown])
    low, high = np.nanmin(values), np.nanmax(values)
    room = 0.08 * (high - low) or 1.0
    bottom, top = axes.get_ylim()
    if top > high + 3 * room or bottom < low - 3 * room:
        axes.set_ylim(max(bottom, low - room), min(top, high + room))


def _one_fan(axes: Any, window: pl.DataFrame, model: str, labelled: bool) -> None:
    ds = window["ds"].to_numpy()
    for low, high, alpha in ((0.1, 0.9, 0.18), (0.2, 0.8, 0.0), (0.3, 0.7, 0.28)):
        names = [f"q{low:g}", f"q{high:g}"]
        if alpha and set(names) <= set(window.columns) and window[names[0]].null_count() < len(window):
            label = f"{model}, central {100 * (high - low):.0f} %" if labelled else None
            lower, upper = (window[name].cast(pl.Float64).to_numpy() for name in names)
            axes.fill_between(
                ds, lower, upper, color=_COLOURS[0], alpha=alpha, linewidth=0, label=label, zorder=2
            )
    label = f"{model}, {'median' if 'q0.5' in window.columns else 'mean'}" if labelled else None
    # A dot keeps a forecast of one step visible.
    marker = "o" if len(window) == 1 else None
    axes.plot(ds, _point(window), color=_COLOURS[0], linewidth=1.8, marker=marker, label=label, zorder=5)


def _skill(axes: Any, report: BacktestReport, target: str) -> None:
    """1 - MAE / MAE of the best baseline per step ahead: the models under test and two more baselines."""
    from matplotlib.ticker import MaxNLocator

    rows = report.by_horizon.filter(pl.col("target") == target)
    baselines = _baselines(report, target)
    best = next(iter(baselines), None)
    steps = rows["horizon"].unique().sort().to_numpy()
    curves = {name: _curve(rows, name) for name in (*report.models, *baselines[1:3])}
    for number, (name, mae) in enumerate(curves.items()):
        value = 1 - mae / _curve(rows, best) if best else mae
        colour = _COLOURS[_colour_of(report, name)] if name in report.models else _GREY
        style = "-" if name in report.models else ("--", ":")[(number - len(report.models)) % 2]
        marker = "o" if len(steps) == 1 else None
        axes.plot(steps, value, color=colour, linestyle=style, linewidth=1.8, marker=marker, label=name)
    if best:
        axes.axhline(0, color="black", linewidth=1)
        _clip_below(axes, [1 - mae / _curve(rows, best) for mae in curves.values()])
    title = f"Skill against {best}" if best else "Error by horizon"
    _style(axes, title + _over_all(report))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel(f"steps ahead (1 step = {report.settings['frequency']})", fontsize=11)
    axes.set_ylabel("1 - MAE / its MAE" if best else f"MAE of {target}", fontsize=11)
    axes.legend(fontsize=10, frameon=False)


def _reliability(axes: Any, report: BacktestReport, target: str) -> None:
    """Empirical against nominal coverage; on the diagonal an interval keeps its promise."""
    rows = report.reliability.filter(pl.col("target") == target)
    axes.plot([0, 1], [0, 1], color="black", linewidth=1, label="as promised")
    for name in (*report.models, *_baselines(report, target)[:1]):
        mine = rows.filter(pl.col("model") == name).sort("nominal")
        if len(mine):
            number = _colour_of(report, name)
            line = axes.plot(mine["nominal"].to_numpy(), mine["empirical"].to_numpy(), label=name)[0]
            tested = name in report.models
            line.set(color=_COLOURS[number], marker=_MARKERS[number], linewidth=1.6)
            line.set(linestyle="-" if tested else "--", zorder=9 - report.models.index(name) if tested else 3)
    _style(axes, f"Reliability of the intervals{_over_all(report)}")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel("nominal coverage", fontsize=11)
    axes.set_ylabel("empirical coverage", fontsize=11)
    axes.text(0.03, 0.97, "too wide", transform=axes.transAxes, va="top", color=_GREY, fontsize=10)
    axes.text(0.97, 0.03, "too narrow", transform=axes.transAxes, ha="right", color=_GREY, fontsize=10)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.06), fontsize=9.5, frameon=False)


def _baselines(report: BacktestReport, target: str) -> list[str]:
    """The baselines, the one with the least error on this target first."""
    mine = pl.col("model").is_in(list(report.baselines)) & (pl.col("target") == target)
    return report.scores.filter(mine & pl.col("mae").is_not_null()).sort("mae")["model"].to_list()


def _shown_cutoffs(report: BacktestReport, rows: pl.DataFrame) -> list[Any]:
    """The last few cutoffs whose windows do not overlap, oldest first."""
    every = -(-int(report.settings["horizon"]) // int(report.settings["step"]))
    cutoffs = rows["cutoff"].unique().sort().to_list()
    return [*reversed(cutoffs[::-1][::every][:_ORIGINS_SHOWN])]


def _start(report: BacktestReport, first: Any) -> Any:
    """One horizon of the past before the first shown cutoff."""
    window = report.forecasts.filter(pl.col("cutoff") == first)["ds"]
    return first - (window.max() - first)


def _point(window: pl.DataFrame) -> np.ndarray[Any, Any]:
    name = "q0.5" if "q0.5" in window.columns and window["q0.5"].null_count() < len(window) else "mean"
    return window[name].cast(pl.Float64).to_numpy()


def _curve(rows: pl.DataFrame, model: str | None) -> np.ndarray[Any, Any]:
    mae = rows.filter(pl.col("model") == model).sort("horizon")["mae"].cast(pl.Float64)
    return np.where(mae.to_numpy() == 0, np.nan, mae.to_numpy())


def _colour_of(report: BacktestReport, name: str) -> int:
    """Models under test keep one colour in every panel; the best baseline has the second."""
    if name not in report.models:
        return 1
    place = report.models.index(name)
    return (place if place == 0 else place + 1) % len(_COLOURS)


def _clip_below(axes: Any, curves: list[np.ndarray[Any, Any]]) -> None:
    """A hopeless baseline must not flatten the curves that matter."""
    values = np.concatenate(curves)
    values = values[np.isfinite(values)]
    if len(values) and values.min() < -1:
        axes.set_ylim(-1, max(1.05 * float(values.max()), 0.1))
        axes.text(0.98, 0.02, "cut off at -1", transform=axes.transAxes, ha="right", color=_GREY, fontsize=10)


def _of(report: BacktestReport, series: str) -> str:
    return f": {series}" if report.settings["series"] > 1 else ""


def _over_all(report: BacktestReport) -> str:
    count = report.settings["series"]
    return f" ({count} series)" if count > 1 else ""
