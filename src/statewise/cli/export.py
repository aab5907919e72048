"""`statewise export BUNDLE --onnx FILE`: the live step as one ONNX graph with explicit state in and out."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from statewise.bundle import Bundle, read_bundle, replace_file
from statewise.cli.kinds import called
from statewise.core.errors import ConfigError

OUTPUT = {
    "forecast": "mean, then the quantiles",
    "classify": "the probability of each label",
    "tag": "the log probability of each label",
    "generate": "the surprisal of the item (nats), then the log probability of each next one",
}


def add_parser(subparsers: Any) -> None:
    """Add the verb to argparse's subparsers."""
    parser = subparsers.add_parser(
        "export",
        help="write a saved model's live step as an ONNX graph",
        description="Writes one step of the model as one ONNX graph: observation and state in, answer and "
        "next state out.",
    )
    parser.add_argument("bundle", metavar="BUNDLE", help="a saved model (load.sw)")
    parser.add_argument("--onnx", metavar="FILE", type=Path, required=True, help="the graph to write")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the graph, and say in one line per tensor what it takes and gives."""
    bundle = read_bundle(args.bundle)
    if not bundle.inputs:
        remedy = "" if bundle.kind == "translate" else ": train it with bidirectional=False"
        raise ConfigError(
            f"export: {args.bundle} is {called(bundle.kind)} that reads all before it answers, so it has no "
            f"live step{remedy}."
        )
    graph = bundle.step_onnx if bundle.step_onnx is not None else _export(bundle)
    replace_file(args.onnx, graph)
    print(f"{args.onnx}: {len(graph)} bytes, model {bundle.model_hash}")
    for spec in bundle.inputs:
        print(f"  in   {spec.name} {_shape(spec.shape)} {spec.dtype}")
    for spec in bundle.state_specs:
        print(f"  state.{spec.name} -> next.{spec.name} {_shape(spec.shape)} {spec.dtype}")
    print(f"  out  output: {OUTPUT[bundle.kind]}, on the last axis")
    return 0


def _export(bundle: Bundle) -> bytes:
    import torch

    from statewise.models.loading import live_recurrence
    from statewise.nn.live import LiveStep, export_onnx

    live = LiveStep(live_recurrence(bundle), [spec.name for spec in bundle.inputs])
    examples = [torch.zeros((1, *spec.shape), dtype=getattr(torch, spec.dtype)) for spec in bundle.inputs]
    return export_onnx(live, examples)


def _shape(shape: tuple[int, ...]) -> str:
    return f"[batch, {', '.join(map(str, shape))}]" if shape else "[batch]"
