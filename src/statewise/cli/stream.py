"""`statewise stream BUNDLE`: rows or items on standard input to one event per line on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from statewise.bundle import Bundle, read_bundle, replace_file
from statewise.cli.live_rows import Reader, json_row, reader
from statewise.cli.live_translation import run_translator
from statewise.core.errors import BundleError, StatewiseError
from statewise.streaming.engines import Engine
from statewise.streaming.opening import onnx_engine, open_streams
from statewise.streaming.streams import Streams


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "stream",
        help="answer live: rows or words in, one JSON line each out",
        description="Reads line by line from standard input and writes one JSON line per row or item. A "
        "forecaster reads JSON objects; other models read words as plain text (an empty line begins anew; "
        'running text goes on), or items as JSON: [0.1, 2.5], {"id": "session", "item": "word"}. A '
        "translator reads a text a line and writes its translation piece by piece. What does not fit gives "
        '{"error": ..., "row": n}, and the stream goes on.',
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a saved model (model.sw)")
    parser.add_argument(
        "--engine",
        choices=("auto", "native", "onnx", "torch"),
        default="auto",
        help="auto: onnx where the bundle holds it, else torch",
    )
    parser.add_argument(
        "--state", metavar="FILE", type=Path, help="resume from FILE, and save there at the end"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Stream until the input ends; the state is saved then, and on an interrupt too."""
    bundle = read_bundle(args.bundle)
    if bundle.kind == "translate":
        return run_translator(args, sys.stdin, sys.stdout)
    streams = open_streams(bundle, choose_engine(bundle, args.engine))
    if args.state is not None and args.state.exists():
        streams.restore(args.state.read_bytes())
    try:
        answer(sys.stdin, sys.stdout, streams, reader(bundle, streams.start))
    except KeyboardInterrupt:
        return 130
    finally:
        if args.state is not None:
            replace_file(args.state, streams.snapshot())
    return 0


def answer(lines: Iterable[str], out: TextIO, streams: Streams[Any], read: Reader = json_row) -> None:
    """One JSON line per row or item: the event, or {"error", "row"} with these counted from 1."""
    number = 0
    for line in lines:
        for row in _rows(read, line, streams):
            number += 1
            event = _event(streams, row)
            told = {**event, "row": number} if "error" in event else event
            out.write(json.dumps(told, allow_nan=False, ensure_ascii=False) + "\n")
            out.flush()


def _rows(read: Reader, line: str, streams: Streams[Any]) -> list[Any]:
    """What stands in a line; an error in place of what cannot be read."""
    try:
        rows = read(line)
    except StatewiseError as error:
        return [error]
    if rows is None and "" in streams.ids:  # the sequence without a name has ended
        streams.forget("")
    return rows or []


def _event(streams: Streams[Any], row: Any) -> dict[str, Any]:
    try:
        if isinstance(row, StatewiseError):
            raise row
        return streams.update(row).plain()
    except StatewiseError as error:
        return {"error": str(error)}
    except Exception as error:  # one odd line must not end the other sessions
        return {"error": f"row: cannot be taken ({type(error).__name__}: {error})."}


def choose_engine(bundle: Bundle, choice: str) -> Engine:
    """The engine named by `choice`; "auto" takes ONNX Runtime where the bundle and the machine have it."""
    if choice == "onnx" or (choice == "auto" and bundle.step_onnx is not None and find_spec("onnxruntime")):
        return onnx_engine(bundle)
    try:
        from statewise.models.loading import live_recurrence
        from statewise.nn.live import TorchEngine
    except ImportError as error:
        if error.name != "torch":
            raise
        raise BundleError(
            "stream: the torch engine needs torch, which is not installed here: pip install torch, "
            "or use a bundle with step.onnx and pip install 'statewise[onnx]'"
        ) from None
    if choice == "native":
        from statewise.models.loading import from_bundle

        return from_bundle(bundle).engine("native")
    return TorchEngine(live_recurrence(bundle), bundle.model_hash)
