"""`statewise predict BUNDLE DATA`: the next values of every series, as CSV or Parquet."""

from __future__ import annotations

import argparse
from typing import Any

from statewise.cli.arguments import add_model_and_history, note, output_file, read_rows


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "predict",
        help="forecast the next values of every series",
        description="Forecasts what follows the rows of DATA, every series from its own last row. Writes CSV "
        "to standard output, or a file with --out.",
    )
    add_model_and_history(parser)
    parser.add_argument(
        "--level",
        metavar="PERCENT",
        type=int,
        action="append",
        default=[],
        help="add the central interval of so many percent (80: mean-lo-80, mean-hi-80); may be repeated",
    )
    parser.add_argument(
        "--out", metavar="FILE", type=output_file(".csv", ".parquet"), help=".csv or .parquet"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the forecasts."""
    from statewise.models.forecast import ForecastModel
    from statewise.models.loading import load_as

    model = load_as(args.bundle, ForecastModel, "predict")
    future = None if args.future is None else read_rows(args.future)
    frame = model.predict(read_rows(args.data), future, args.level)
    if model.task.known and future is None:
        names = ", ".join(model.task.known)
        note(f"{names}: not given for the times ahead, so taken as missing there; --future FILE gives them.")
    if args.out is None:
        print(frame.write_csv(), end="")
        return 0
    (frame.write_parquet if args.out.suffix.lower() == ".parquet" else frame.write_csv)(args.out)
    print(f"{args.out}: {len(frame):,} rows")
    return 0
