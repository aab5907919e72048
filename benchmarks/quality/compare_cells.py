"""Which cell for the flights of New York? `sw.compare` on the embedded data, as docs/comparing.md shows it.

python -m benchmarks.quality.compare_cells              the result
python -m benchmarks.quality.compare_cells --picture docs/comparing.png
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from benchmarks.recording import CACHE, Row, arguments, write

import statewise as sw
from statewise.comparing.report import ComparisonReport
from statewise.training.config import DEFAULT_TRAIN

WEATHER = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure")
CELLS = ("lstm", "gru", "mingru", "mamba", "conv")
STEPS, SEEDS, ORIGINS = 150, 3, 28

PROTOCOL = """
nyc_flights: the next 24 hours of departures at JFK, LGA and EWR, forecast on the last {origins} evenings
that have them, at 23:00; the schedule is known ahead, the weather up to now. sw.compare with {cells}:
hidden sizes for equal numbers of weights, {steps} steps of training on the rows before the first origin,
{seeds} seeds, all classical baselines. MASE in units of the seasonal naive (24 h); the p-value is that of
the difference to the best baseline over origins and seeds, corrected for the number of cells. No time
budget, so that scores do not depend on how busy the machine is; times do."""


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--picture", metavar="FILE", type=Path, help="draw it, too")
    parser.add_argument("--resume", metavar="DIR", type=Path, default=CACHE / "compare_cells")
    options = parser.parse_args()
    steps, seeds = (2, 1) if options.quick else (STEPS, SEEDS)
    task = sw.Forecast(
        target="departures", horizon=24, known=["scheduled"], observed=WEATHER, static=["unique_id"]
    )
    report = sw.compare(
        task,
        sw.datasets.load("nyc_flights"),
        CELLS,
        budget=None,
        seeds=seeds,
        origins=ORIGINS,
        train=replace(DEFAULT_TRAIN, steps=steps),
        resume=options.resume,
    )
    print(report)
    if options.picture is not None:
        report.plot(options.picture)
    protocol = PROTOCOL.format(origins=ORIGINS, cells=", ".join(CELLS), steps=STEPS, seeds=SEEDS)
    write(
        "quality.compare_cells",
        [row(report)],
        protocol,
        report.to_mapping()["settings"],
        options.quick,
        verdict=report.recommendation,
    )


def row(report: ComparisonReport) -> Row:
    """The line of the table: what is recommended, and on what evidence."""
    cells = [entry for entry in report.entries if entry.is_cell]
    used = report[report.recommended]
    found = [f"{entry.name} {entry.loss.mean:.3f}" for entry in cells if entry.loss.mean is not None]
    beats = f", p {used.p:.2g} against {report.settings['rival']}" if used.p is not None else ""
    return Row(
        "compare_cells",
        "Flights of New York: which cell?",
        "all finish; a cell is recommended only with a corrected p < 0.05",
        f"use {used.name} (MASE {used.loss.mean:.3f}{beats}); {', '.join(found)}",
        all(entry.status == "finished" for entry in report.entries),
        {"entries": report.to_mapping()["entries"]},
    )


if __name__ == "__main__":
    main()
