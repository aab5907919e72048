"""`statewise predict BUNDLE …`: what a saved model answers to rows, or to texts given at the prompt."""

from __future__ import annotations

import argparse
from typing import Any

from statewise.cli.answers import ANSWERS
from statewise.cli.arguments import output_file, picture_file
from statewise.cli.kinds import bundle_kind, called
from statewise.core.errors import ConfigError, lookup

_ALWAYS = {"verb", "run", "bundle", "data", "out"}


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "predict",
        help="let a model answer: forecast, classify, tag, continue or translate",
        description="Lets a saved model answer to the rows of DATA, or to texts given with --text. Writes to "
        "standard output, or a file with --out. Options of another kind of model are refused.",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a saved model (model.sw)")
    parser.add_argument(
        "data",
        metavar="DATA",
        nargs="?",
        help="a file with rows; of a forecaster its history, or a data set",
    )
    parser.add_argument(
        "--text",
        metavar="TEXT",
        action="append",
        help="a text to answer to, in place of DATA; may be repeated",
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        type=output_file(),
        help=".csv, .parquet, .jsonl, or .conll of a tagger, .txt of a translator or language model",
    )
    _add_own(parser)
    parser.set_defaults(run=run)


def _add_own(parser: Any) -> None:
    """What single kinds take; None where it is not given."""
    for title, kind in (
        ("forecasts", "forecast"),
        ("tags and translations", "n_best"),
        ("translations", "translate"),
        ("texts that go on", "generate"),
    ):
        group = parser.add_argument_group(title)
        for names, settings in _OWN[kind]:
            group.add_argument(*names, **settings)


_OWN: dict[str, list[tuple[tuple[str, ...], dict[str, Any]]]] = {
    "forecast": [
        (
            ("--future",),
            {"metavar": "FILE", "help": "rows of the times ahead, with the columns known in advance"},
        ),
        (
            ("--level",),
            {
                "metavar": "PERCENT",
                "type": int,
                "action": "append",
                "help": "add the central interval of so many percent (80: mean-lo-80, mean-hi-80); may be "
                "repeated",
            },
        ),
    ],
    "n_best": [(("--n-best",), {"metavar": "N", "type": int, "help": "the N best answers to each"})],
    "translate": [
        (("--beam",), {"metavar": "N", "type": int, "help": "hypotheses kept at every token"}),
        (
            ("--alignment",),
            {"metavar": "FILE", "type": picture_file, "help": "where it looked, drawn: .png, .svg or .pdf"},
        ),
    ],
    "generate": [
        (("--length",), {"metavar": "N", "type": int, "help": "tokens to write, at most"}),
        (("--temperature",), {"metavar": "T", "type": float, "help": "below 1: likelier; 0: the likeliest"}),
        (("--top-k",), {"metavar": "N", "type": int, "help": "draw among the N likeliest"}),
        (("--top-p",), {"metavar": "P", "type": float, "help": "draw among the likeliest that make up P"}),
        (
            ("--repetition-penalty",),
            {"metavar": "P", "type": float, "help": "above 1: what stands there already is less likely"},
        ),
        (("--seed",), {"metavar": "N", "type": int, "help": "of the draws"}),
        (("--stop",), {"metavar": "TEXT", "action": "append", "help": "end before TEXT; may be repeated"}),
    ],
}


def run(args: argparse.Namespace) -> int:
    """Write the answers."""
    kind = bundle_kind(args.bundle)
    answers = lookup(ANSWERS, kind, "kind")
    given = {name: value for name, value in vars(args).items() if name not in _ALWAYS and value is not None}
    for name in given:
        if name not in answers.options:
            own = ", ".join(map(_flag, answers.options))
            raise ConfigError(f"{_flag(name)}: not for {called(kind)} ({args.bundle}), which takes {own}.")
    if args.out is not None:
        output_file(*answers.suffixes)(str(args.out))
    texts = given.pop("text", None)
    if (args.data is None) == (texts is None):
        what = "DATA" if "text" not in answers.options else 'one of DATA and --text "…"'
        raise ConfigError(f"predict: want {what}.")
    if texts is not None and kind != "generate" and not all(text.strip() for text in texts):
        raise ConfigError("--text: got an empty text.")
    from statewise.models.loading import load

    answers.write(load(args.bundle), args.data if texts is None else texts, args.out, given)
    return 0


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
