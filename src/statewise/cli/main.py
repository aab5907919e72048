"""`statewise VERB …`: one file per verb; what went wrong is one line on standard error, exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from statewise import __version__
from statewise.cli import (
    backtest,
    compare,
    datasets,
    demo,
    evaluate,
    explain,
    export,
    fit,
    predict,
    stream,
)
from statewise.core.errors import ConfigError, StatewiseError, suggestion
from statewise.core.heap import keep_freed_memory

VERBS = {
    "demo": demo,
    "fit": fit,
    "evaluate": evaluate,
    "backtest": backtest,
    "compare": compare,
    "explain": explain,
    "predict": predict,
    "stream": stream,
    "export": export,
    "datasets": datasets,
}
INTERRUPTED = 130  # as a shell reports a program ended by Ctrl-C …
BROKEN_PIPE = 141  # … and one whose reader has gone


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; gives the exit code: 0, or 2 for an error of the user's, which is said in one line."""
    words = list(sys.argv[1:] if argv is None else argv)
    if argv is None:  # a process of our own
        keep_freed_memory()
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse, after --help or a usage error
        return stop.code if isinstance(stop.code, int) else 2
    except BrokenPipeError:
        # Python flushes standard output once more at its end, which must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        print("statewise: interrupted.", file=sys.stderr)
        return INTERRUPTED
    except (StatewiseError, OSError, ModuleNotFoundError) as error:
        return _say(error)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all verbs."""
    parser = argparse.ArgumentParser(
        prog="statewise",
        description="From raw rows to a model, an honest score, an explanation and a live stream.",
        epilog="`statewise VERB --help` says more. A first look: statewise demo.",
    )
    parser.add_argument("--version", action="version", version=f"statewise {__version__}")
    subparsers = parser.add_subparsers(metavar="VERB", title="verbs", dest="verb")
    for verb in VERBS.values():
        verb.add_parser(subparsers)
    return parser


def _run(words: Sequence[str]) -> int:
    parser = make_parser()
    if not words:
        parser.print_help()
        return 0
    if not words[0].startswith("-") and words[0] not in VERBS:
        raise ConfigError(f"no such verb '{words[0]}'.{suggestion(words[0], VERBS)}")
    args = parser.parse_args(words)
    return int(args.run(args))


def _say(error: Exception) -> int:
    """The error as one line (one per finding of a data check) on standard error; gives the exit code."""
    if isinstance(error, StatewiseError):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}." if error.filename else f"{error}."
    elif isinstance(error, ModuleNotFoundError) and error.name == "torch":
        text = "this verb needs torch, which is not installed here: pip install torch"
    else:
        raise error
    for line in text.splitlines():
        print(f"statewise: {line}", file=sys.stderr)
    return 2
