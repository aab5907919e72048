"""`statewise explain BUNDLE DATA`: which part of the past carries the forecast."""

from __future__ import annotations

import argparse
import json
from typing import Any

from statewise.cli.arguments import add_model_and_history, output_file, picture_file, read_rows
from statewise.cli.kinds import check_forecaster
from statewise.core.errors import ConfigError


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "explain",
        help="say which part of the past carries a forecast",
        description="Exact Shapley shares of named parts of the past in the forecast that follows the last "
        "row of DATA.",
    )
    add_model_and_history(parser)
    parser.add_argument("--series", metavar="ID", help="default: the first")
    parser.add_argument("--target", metavar="NAME", help="default: the first")
    parser.add_argument("--at", metavar="TIME", help="time of the newest row the forecast knows")
    parser.add_argument(
        "--origins", metavar="N", type=int, default=1, help="average over N forecasts, a day apart"
    )
    parser.add_argument(
        "--group",
        metavar="NAME=COLUMNS",
        action="append",
        default=[],
        help="take covariates together: weather=temp,humid; may be repeated",
    )
    parser.add_argument("--picture", metavar="FILE", type=picture_file, help=".png, .svg or .pdf")
    parser.add_argument("--out", metavar="FILE", type=output_file(".json"), help="the numbers, as .json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table and the sentence."""
    check_forecaster(args.bundle, "explain", f"see what it answers with statewise predict {args.bundle} DATA")
    from statewise.models.forecast import ForecastModel
    from statewise.models.loading import load_as

    model = load_as(args.bundle, ForecastModel, "explain")
    explanation = model.explain(
        read_rows(args.data),
        None if args.future is None else read_rows(args.future),
        series_id=args.series,
        target=args.target,
        at=args.at,
        origins=args.origins,
        group=dict(map(_group, args.group)) or None,
    )
    print(explanation)
    if args.out is not None:
        args.out.write_text(json.dumps(explanation.to_mapping(), indent=1) + "\n", encoding="utf-8")
        print(f"\n{args.out}")
    if args.picture is not None:
        print(f"\n{explanation.picture(args.picture)}")
    return 0


def _group(text: str) -> tuple[str, list[str]]:
    name, equals, columns = text.partition("=")
    if not equals or not name or not columns:
        raise ConfigError(f"--group: got '{text}', want NAME=COLUMN,COLUMN, such as weather=temp,humid.")
    return name.strip(), [column.strip() for column in columns.split(",")]
