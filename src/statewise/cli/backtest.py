"""`statewise backtest BUNDLE DATA`: a saved model against the classical baselines on rolling origins."""

from __future__ import annotations

import argparse
import json
from typing import Any

from statewise.cli.arguments import output_file, picture_file, read_rows
from statewise.cli.kinds import check_forecaster
from statewise.core.errors import lookup


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "backtest",
        help="score a model against the baselines on rolling origins",
        description="Lets the model and the classical baselines forecast from the same origins at the end of "
        "DATA, and says in words which is best. DATA should go on after the rows the model was trained on.",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a saved model (model.sw)")
    parser.add_argument("data", metavar="DATA", help="a .csv, .csv.gz or .parquet file, or a data set")
    parser.add_argument("--origins", metavar="N", type=int, default=30, help="how many (default: 30)")
    parser.add_argument("--step", metavar="N", type=int, help="rows between origins (default: the horizon)")
    parser.add_argument(
        "--compare",
        metavar="NAME",
        nargs="+",
        default=[],
        help="models of statsforecast as further baselines: AutoETS, AutoTheta, MSTL (extra: compare)",
    )
    parser.add_argument("--out", metavar="FILE", type=output_file(".json"), help="the scores, as .json")
    parser.add_argument("--picture", metavar="FILE", type=picture_file, help=".png, .svg or .pdf")
    parser.add_argument("--series", metavar="ID", help="of the picture (default: the first)")
    parser.add_argument("--target", metavar="NAME", help="of the picture (default: the first)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table and the verdict."""
    check_forecaster(args.bundle, "backtest", f"score it with statewise evaluate {args.bundle} DATA")
    from statewise.evaluation.backtest import backtest
    from statewise.models.forecast import ForecastModel
    from statewise.models.loading import load_as

    model = load_as(args.bundle, ForecastModel, "backtest")
    if args.target is not None:
        lookup(dict.fromkeys(model.task.schema.target), args.target, "target")
    report = backtest(model, read_rows(args.data), origins=args.origins, step=args.step, compare=args.compare)
    print(report)
    if args.out is not None:
        args.out.write_text(json.dumps(report.to_mapping(), indent=1) + "\n", encoding="utf-8")
        print(f"\n{args.out}")
    if args.picture is not None:
        print(f"\n{report.picture(args.picture, args.series, args.target)}")
    return 0
