"""Plain settings to and from frozen dataclasses: TOML files, `key=value` overrides, bundles."""

from __future__ import annotations

import copy
import dataclasses
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from statewise.core.errors import ConfigError, suggestion

Config = TypeVar("Config")
_LISTS = (tuple, list, Sequence)
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def from_mapping(cls: type[Config], mapping: Mapping[str, Any], where: str) -> Config:
    """The dataclass `cls` filled from `mapping`; lists become tuples, nested tables nested dataclasses.

    `where` names the mapping in errors ("train", "experiment.toml: task").
    Raises ConfigError: "train: no such setting 'stps'. Did you mean 'steps'?",
    "train.steps: got 'many', want a whole number.", "train: setting 'steps' is missing.".
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{where}: got {_show(mapping)}, want a table of settings.")
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}  # type: ignore[arg-type]
    for name in mapping:
        if name not in fields:
            raise ConfigError(f"{where}: no such setting '{name}'.{suggestion(str(name), fields)}")
    hints = typing.get_type_hints(cls)
    values = {name: _convert(hints[name], value, f"{where}.{name}") for name, value in mapping.items()}
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in values:
            raise ConfigError(f"{where}: setting '{name}' is missing.")
    return cls(**values)


def to_mapping(config: Any) -> dict[str, Any]:
    """The settings of a dataclass as plain JSON values (tuples become lists)."""
    return {
        field.name: _plain(getattr(config, field.name)) for field in dataclasses.fields(config) if field.init
    }


def read_toml(path: str | Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError naming the file when it is absent or malformed."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a TOML file: {error}.") from None


def override(mapping: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of `mapping` with `assignments` such as "train.steps=200" applied in order.

    Values are read as TOML (200, true, [1, 2], "text"); what is not TOML is taken as text.
    Raises ConfigError: "override: got 'steps', want key=value, such as train.steps=200.".
    """
    result = copy.deepcopy(dict(mapping))
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        *parents, name = [part.strip() for part in path.split(".")]
        if not equals or not name or not all(parents):
            raise ConfigError(f"override: got '{assignment}', want key=value, such as train.steps=200.")
        _table(result, parents, assignment)[name] = _parse(text.strip())
    return result


def _table(mapping: dict[str, Any], path: Iterable[str], assignment: str) -> dict[str, Any]:
    for name in path:
        mapping = mapping.setdefault(name, {})
        if not isinstance(mapping, dict):
            raise ConfigError(f"override: in '{assignment}', '{name}' is a value, not a table.")
    return mapping


def _parse(text: str) -> Any:
    if "\n" in text:
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return to_mapping(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, where)
    if origin is typing.Literal:
        return _convert_literal(typing.get_args(hint), value, where)
    if origin in _LISTS or hint in _LISTS:
        kind = list if (origin or hint) is list else tuple
        return _convert_sequence(kind, typing.get_args(hint), value, where, fixed=origin is tuple)
    if isinstance(origin or hint, type) and issubclass(origin or hint, Mapping):
        return _convert_table(typing.get_args(hint), value, where)
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, typing.cast(type, hint)) else from_mapping(hint, value, where)  # type: ignore[arg-type]
    return _convert_plain(hint, value, where)


def _convert_plain(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}: got {_show(value)}, want {_describe(hint)}.")
    return value


def _convert_union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    choices = [option for option in options if option is not type(None)]
    if len(choices) == 1:
        return _convert(choices[0], value, where)
    for strict in (True, False):  # an exact type first, so that 3 stays a whole number in int | float
        for option in choices:
            if strict and type(value) is not option:
                continue
            try:
                return _convert(option, value, where)
            except ConfigError:
                continue
    wanted = " or ".join(_describe(option) for option in choices)
    raise ConfigError(f"{where}: got {_show(value)}, want {wanted}.")


def _convert_literal(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value in options and type(value) in {type(option) for option in options}:
        return value
    if isinstance(value, str):
        texts = [str(option) for option in options]
        raise ConfigError(f"{where}: no such choice '{value}'.{suggestion(value, texts)}")
    raise ConfigError(f"{where}: got {_show(value)}, want one of {', '.join(map(_show, options))}.")


def _convert_sequence(kind: Any, items: tuple[Any, ...], value: Any, where: str, *, fixed: bool) -> Any:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{where}: got {_show(value)}, want a list.")
    fixed = fixed and bool(items) and items[-1] is not Ellipsis
    if fixed and len(items) != len(value):
        raise ConfigError(f"{where}: got {len(value)} values, want {len(items)}.")
    hints = list(items) if fixed else [items[0] if items else Any] * len(value)
    return kind(
        _convert(hint, item, f"{where}[{i}]") for i, (hint, item) in enumerate(zip(hints, value, strict=True))
    )


def _convert_table(items: tuple[Any, ...], value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where}: got {_show(value)}, want a table.")
    hint = items[1] if len(items) == 2 else Any
    return {str(key): _convert(hint, item, f"{where}.{key}") for key, item in value.items()}


def _describe(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(map(_show, typing.get_args(hint)))
    if typing.get_origin(hint) in _LISTS or hint in _LISTS:
        return "a list"
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _show(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else repr(value)
