"""`statewise evaluate BUNDLE… DATA`: scores on rows a model has not seen, beside the dumb baselines."""

from __future__ import annotations

import argparse
import json
from typing import Any

from statewise.cli.arguments import note, output_file
from statewise.cli.kinds import FORECAST, bundle_kind, called, text_rows
from statewise.core.errors import ConfigError


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "evaluate",
        help="score classifiers, taggers, language models and translators",
        description="Scores a model on the rows of DATA, which it must not have been trained on, beside the "
        "dumb baselines. Several bundles of one kind (from other seeds) give mean and spread. A forecaster "
        "is scored by `statewise backtest`.",
    )
    parser.add_argument("bundles", metavar="BUNDLE", nargs="+", help="saved models (model.sw)")
    parser.add_argument("data", metavar="DATA", help="a file with rows, or two of parallel text: a.de,a.en")
    parser.add_argument(
        "--train", metavar="FILE", help="the training rows, for the baselines that learn from them"
    )
    parser.add_argument("--out", metavar="FILE", type=output_file(".json"), help="the scores, as .json")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the table and the verdict."""
    kinds = {path: bundle_kind(path) for path in args.bundles}
    first = kinds[args.bundles[0]]
    for path, kind in kinds.items():
        if kind == FORECAST:
            raise ConfigError(
                f"evaluate: {path} is {called(kind)}: score it with statewise backtest {path} DATA."
            )
        if kind != first:
            raise ConfigError(
                f"evaluate: {args.bundles[0]} is {called(first)}, {path} {called(kind)}: want one kind."
            )
    from statewise.evaluation.evaluate import evaluate
    from statewise.models.loading import load

    train = None if args.train is None else text_rows(args.train)
    report = evaluate([load(path) for path in args.bundles], text_rows(args.data), train=train)
    print(report)
    if train is None:
        note("--train FILE, the training rows, sets the baselines beside it that learn.")
    if args.out is not None:
        args.out.write_text(json.dumps(report.to_mapping(), indent=1) + "\n", encoding="utf-8")
        print(f"\n{args.out}")
    return 0
