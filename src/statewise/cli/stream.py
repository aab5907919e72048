"""`statewise stream BUNDLE`: JSON rows on standard input to one forecast per line on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from statewise.bundle import Bundle, read_bundle, replace_file
from statewise.core.errors import BundleError, StatewiseError, StreamError
from statewise.streaming.engines import Engine
from statewise.streaming.opening import onnx_engine, open_streams
from statewise.streaming.streams import Streams


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "stream",
        help="forecast live: JSON rows in, one forecast per line out",
        description="Reads one JSON object per line from standard input and writes one forecast per line. "
        'A row that does not fit gives {"error": ..., "row": n}, and the stream goes on.',
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a saved model (load.sw)")
    parser.add_argument(
        "--engine",
        choices=("auto", "torch", "onnx"),
        default="auto",
        help="auto: onnx where the bundle holds it",
    )
    parser.add_argument(
        "--state", metavar="FILE", type=Path, help="resume from FILE, and save there at the end"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Stream until the input ends; the state is saved then, and on an interrupt too."""
    bundle = read_bundle(args.bundle)
    streams = open_streams(bundle, choose_engine(bundle, args.engine))
    if args.state is not None and args.state.exists():
        streams.restore(args.state.read_bytes())
    try:
        answer(sys.stdin, sys.stdout, streams)
    except KeyboardInterrupt:
        return 130
    finally:
        if args.state is not None:
            replace_file(args.state, streams.snapshot())
    return 0


def answer(lines: Iterable[str], out: TextIO, streams: Streams[Any]) -> None:
    """One JSON line per non-empty line: the forecast, or {"error", "row"} with rows counted from 1."""
    rows = (line for line in lines if line.strip())
    for number, line in enumerate(rows, start=1):
        try:
            event = streams.update(_row(line)).plain()
        except StatewiseError as error:
            event = {"error": str(error), "row": number}
        except Exception as error:  # one odd line must not end the other series
            event = {"error": f"row: cannot be taken ({type(error).__name__}: {error}).", "row": number}
        out.write(json.dumps(event, allow_nan=False, ensure_ascii=False) + "\n")
        out.flush()


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
    return TorchEngine(live_recurrence(bundle), bundle.model_hash)


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise StreamError(f"row: not JSON: {error}.") from None
    if not isinstance(row, dict):
        raise StreamError('row: want a JSON object such as {"ds": "2024-05-01T13:00:00", "y": 31.2}.')
    return row
