"""`statewise stream` of a translator: a text per line in, its translation out piece by piece."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import Any, TextIO

from statewise.core.errors import ConfigError


def run_translator(args: argparse.Namespace, lines: Iterable[str], out: TextIO) -> int:
    """Translate until the input ends. Raises ConfigError for what only other models take."""
    if args.state is not None:
        raise ConfigError("--state: a translator keeps nothing from one line to the next.")
    if args.engine not in ("auto", "torch"):
        raise ConfigError(f"--engine: a translator runs on torch, not on {args.engine}.")
    from statewise.models.loading import load_as
    from statewise.models.translate import TranslateModel

    model = load_as(args.bundle, TranslateModel, "stream")
    texts = (line.strip() for line in lines)
    for row, text in enumerate((text for text in texts if text), start=1):
        pieces = []
        for piece in model.write(text):
            pieces.append(piece)
            _tell(out, {"row": row, "piece": piece})
        _tell(out, {"row": row, "source": text, "translation": "".join(pieces)})
    return 0


def _tell(out: TextIO, event: dict[str, Any]) -> None:
    out.write(json.dumps(event, ensure_ascii=False) + "\n")
    out.flush()
