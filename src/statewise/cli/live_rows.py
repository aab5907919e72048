"""What stands in a line that `statewise stream` reads: a row of a forecaster, or items as text or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from statewise.bundle import Bundle
from statewise.core.errors import StreamError
from statewise.streaming.items import ItemStream
from statewise.streaming.stream import Stream

Reader = Callable[[str], list[Any] | None]  # the rows of a line; None: it begins anew


def reader(bundle: Bundle, start: Stream[Any]) -> Reader:
    """How lines are read for streams of the bundle's model, which begin as `start`."""
    if not isinstance(start, ItemStream):
        return json_row
    if not bundle.inputs[0].dtype.startswith("int"):
        return _numbers
    codec: Any = start.codec
    if bundle.kind == "generate":
        running = not codec.documents
        return lambda line: _items(line if running else line.strip(), lambda text: _next_items(codec, text))
    split = {"classify": lambda text: list(codec.tokens(text)), "tag": str.split}[bundle.kind]
    return lambda line: _items(line.strip(), split)


def json_row(line: str) -> list[Any]:
    """One JSON object; nothing in an empty line. Raises StreamError for anything else."""
    if not line.strip():
        return []
    row = _json(line)
    if not isinstance(row, dict):
        raise StreamError('row: want a JSON object such as {"ds": "2024-05-01T13:00:00", "y": 31.2}.')
    return [row]


def _numbers(line: str) -> list[Any] | None:
    """A step of numbers as JSON."""
    return [_json(line)] if line.strip() else None


def _items(line: str, split: Callable[[str], list[Any]]) -> list[Any] | None:
    """The items of a text, or one {"item": …}; what begins like JSON and is none is text, too."""
    if not line:
        return None
    if line.startswith(("{", '"')):
        with suppress(StreamError):
            found = _json(line)
            return split(found) if isinstance(found, str) else [found]
    return split(line)


def _next_items(codec: Any, text: str) -> list[Any]:
    """The items of a text as a language model reads them; an event is a line."""
    return [text.strip()] if codec.events else [codec.token(number) for number in codec.encode(text)]


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise StreamError(f"row: not JSON: {error}.") from None
