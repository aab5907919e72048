"""Plain settings to dataclasses and back, with errors that name the setting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.config import from_mapping, override, read_toml, to_mapping
from statewise.core.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    size: int = 1
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outer:
    steps: int
    rate: float = 0.5
    name: str | None = None
    kind: Literal["adam", "sgd"] = "adam"
    threads: int | Literal["auto"] = "auto"
    inner: Inner = field(default_factory=Inner)
    pair: tuple[int, float] = (1, 2.0)
    extra: Mapping[str, float] = field(default_factory=dict)
    rows: tuple[Inner, ...] = ()
    fast: bool = False
    anything: Any = None


def test_nested_tables_lists_and_numbers_are_filled_in() -> None:
    plain = {
        "steps": 3,
        "rate": 1,
        "name": "a",
        "kind": "sgd",
        "threads": 2,
        "inner": {"size": 4, "names": ["x", "y"]},
        "pair": [1, 2],
        "extra": {"a": 1},
        "rows": [{"size": 2}, {}],
        "fast": True,
        "anything": [1, "x"],
    }
    config = from_mapping(Outer, plain, "train")
    assert config == Outer(
        3, 1.0, "a", "sgd", 2, Inner(4, ("x", "y")), (1, 2.0), {"a": 1.0}, (Inner(2), Inner()), True, [1, "x"]
    )
    assert type(config.rate) is float


@pytest.mark.parametrize(
    ("plain", "text"),
    [
        ({"stps": 1}, "train: no such setting 'stps'. Did you mean 'steps'?"),
        ({}, "train: setting 'steps' is missing."),
        ({"steps": "many"}, "train.steps: got 'many', want a whole number."),
        ({"steps": 1.5}, "train.steps: got 1.5, want a whole number."),
        ({"steps": True}, "train.steps: got True, want a whole number."),
        ({"steps": 1, "rate": "x"}, "train.rate: got 'x', want a number."),
        ({"steps": 1, "name": 3}, "train.name: got 3, want text."),
        ({"steps": 1, "kind": "adm"}, "train.kind: no such choice 'adm'. Did you mean 'adam'?"),
        ({"steps": 1, "kind": 1}, "train.kind: got 1, want one of 'adam', 'sgd'."),
        ({"steps": 1, "threads": "all"}, "train.threads: got 'all', want a whole number or 'auto'."),
        ({"steps": 1, "inner": {"sise": 1}}, "train.inner: no such setting 'sise'. Did you mean 'size'?"),
        ({"steps": 1, "inner": 3}, "train.inner: got 3, want a table of settings."),
        ({"steps": 1, "inner": {"names": "x"}}, "train.inner.names: got 'x', want a list."),
        ({"steps": 1, "inner": {"names": ["a", 2]}}, "train.inner.names[1]: got 2, want text."),
        ({"steps": 1, "pair": [1]}, "train.pair: got 1 values, want 2."),
        ({"steps": 1, "extra": {"a": "b"}}, "train.extra.a: got 'b', want a number."),
        ({"steps": 1, "extra": [1]}, "train.extra: got [1], want a table."),
        ({"steps": 1, "fast": 1}, "train.fast: got 1, want true or false."),
        ([1], "train: got [1], want a table of settings."),
    ],
)
def test_errors_say_where_got_and_want(plain: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_mapping(Outer, plain, "train")
    assert str(caught.value) == text


@given(
    st.builds(
        Outer,
        steps=st.integers(),
        rate=st.floats(allow_nan=False),
        name=st.none() | st.text(),
        threads=st.integers() | st.just("auto"),
        inner=st.builds(Inner, size=st.integers(), names=st.lists(st.text()).map(tuple)),
        extra=st.dictionaries(st.text(), st.floats(allow_nan=False)),
        rows=st.lists(st.builds(Inner)).map(tuple),
    )
)
def test_to_mapping_and_back_is_exact(config: Outer) -> None:
    assert from_mapping(Outer, to_mapping(config), "train") == config


def test_overrides_are_read_as_toml_else_as_text() -> None:
    start = {"train": {"steps": 1, "rate": 0.1}}
    words = ["train.steps=200", "train.kind=sgd", "model.cell = 'lstm gru'", 'task.known=["a", "b"]']
    assert override(start, words) == {
        "train": {"steps": 200, "rate": 0.1, "kind": "sgd"},
        "model": {"cell": "lstm gru"},
        "task": {"known": ["a", "b"]},
    }
    assert start == {"train": {"steps": 1, "rate": 0.1}}


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("steps", "override: got 'steps', want key=value, such as train.steps=200."),
        (".steps=1", "override: got '.steps=1', want key=value, such as train.steps=200."),
        ("train.steps.x=1", "override: in 'train.steps.x=1', 'steps' is a value, not a table."),
    ],
)
def test_bad_overrides_are_refused(word: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        override({"train": {"steps": 1}}, [word])
    assert str(caught.value) == text


def test_read_toml_names_the_file_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[train]\nsteps = 3\n", encoding="utf-8")
    assert read_toml(path) == {"train": {"steps": 3}}
    path.write_text("steps = ", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.toml: not a TOML file: Invalid value"):
        read_toml(path)
    with pytest.raises(ConfigError, match=r"b\.toml: no such file\.$"):
        read_toml(tmp_path / "b.toml")


@dataclass(frozen=True)
class Columns:
    target: str | Sequence[str] = "y"
    known: Sequence[str] = ()


def test_sequences_take_lists_and_become_tuples() -> None:
    several = from_mapping(Columns, {"target": ["a", "b"], "known": ["c"]}, "task")
    assert several == Columns(("a", "b"), ("c",))
    assert from_mapping(Columns, {"target": "a", "known": []}, "task") == Columns("a")
    with pytest.raises(ConfigError, match=r"^task\.known: got 'c', want a list\.$"):
        from_mapping(Columns, {"known": "c"}, "task")
    with pytest.raises(ConfigError, match=r"^task\.target: got 3, want text or a list\.$"):
        from_mapping(Columns, {"target": 3}, "task")
