"""Live rows: values of any kind, static columns, caches, and one clear line for what does not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from forecast_rows import codec

from statewise.core.errors import StreamError

GOOD = {"ds": "2024-05-01 13:00", "y": 1.0, "price": 2.0}


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"y": 1.0}, "ds: the row has no time. Known: y."),
        (GOOD | {"humm": 1.0}, "row: no such column 'humm'. Did you mean 'hum'?"),
        (GOOD | {"hum": "wet"}, "hum: got 'wet', want a number."),
        (GOOD | {"hum": [1.0]}, "hum: got [1.0], want a number."),
        (GOOD | {"y": float("inf")}, "y: got inf, want a finite number, or None where it is missing."),
        (
            GOOD | {"ds": "2024-05-01 13:07"},
            "ds: got '2024-05-01 13:07', which is off the 1h grid (near: 2024-05-01T13:00:00).",
        ),
        (
            GOOD | {"ds": "2024-05-01 12:00"},
            "ds: got '2024-05-01 12:00', want a time after 2024-05-01T12:00:00.",
        ),
        (GOOD | {"future": {"pric": [1.0]}}, "future: no such known column 'pric'. Did you mean 'price'?"),
        (GOOD | {"future": {"price": 3.0}}, "future.price: got 3.0, want a list of up to 5 values."),
        (GOOD | {"future": {"price": [1.0] * 6}}, "future.price: got 6 values, want at most 5."),
        (GOOD | {"future": {"price": [1.0, "x"]}}, "price: got 'x', want a number."),
        (
            GOOD | {"future": {"price": [1.0, float("inf")]}},
            "price: got inf, want a finite number, or None where it is missing.",
        ),
        (GOOD | {"size": "huge"}, "size: got 'huge', want a number."),
        ([1.0], "row: got [1.0], want a mapping from column to value."),
        (
            {"ds": 10**5000, "y": 1.0},
            "ds: got a int, want a datetime or ISO text such as '2024-05-01T13:00:00'.",
        ),
        ({1: 2, "y": 1.0}, "ds: the row has no time. Known: 1, y."),
        (GOOD | {"future": [1.0]}, "future: got [1.0], want a mapping from known column to values."),
        (GOOD | {"future": {"price": {}}}, "future.price: got {}, want a list of up to 5 values."),
        (
            GOOD | {"future": {"price": np.array(1.0)}},
            "future.price: got array(1.), want a list of up to 5 values.",
        ),
        (GOOD | {"future": {"price": [[1.0]]}}, "price: got [1.0], want a number."),
    ],
)
def test_live_rows_that_do_not_fit(row: dict[str, Any], text: str) -> None:
    with pytest.raises(StreamError) as caught:
        codec().encode_row(row, np.datetime64("2024-05-01T12:00", "s"))
    assert str(caught.value) == text


@pytest.mark.parametrize(
    "value",
    [10**400, pytest.param(10**5000, id="long"), 1e39, -1e39, np.float64(1e308), 10**39, Decimal("1e40")],
)
@pytest.mark.parametrize("place", ["y", "hum", "size", "price", "future"])
def test_live_values_too_large_for_32_bits(value: Any, place: str) -> None:
    fitted = codec()
    row = GOOD | ({"future": {"price": [1.0, value]}} if place == "future" else {place: value})
    name = "price" if place == "future" else place
    with pytest.raises(
        StreamError, match=rf"^{name}: got .*, too large for 32 bits \(training rows: .* ± .*\)\.$"
    ):
        fitted.encode_row(row, None)


def test_live_values_of_any_kind() -> None:
    fitted = codec()
    plain = {"ds": datetime(2024, 5, 1, 13), "y": 3.0, "z": 2.0, "hum": None}
    others = [
        plain | {"y": 3, "z": np.float32(2), "hum": float("nan"), "unique_id": "a"},
        {"ds": np.datetime64("2024-05-01T13:00"), "y": np.int64(3), "z": np.float64(2), "price": None},
        {"ds": "2024-05-01T13", "y": True + 2, "z": 2, "future": None},
    ]
    want = fitted.encode_row(plain, None)
    assert want[0] == 0
    for row in others:
        got = fitted.encode_row(row, None)
        assert got[0] == 0
        np.testing.assert_array_equal(got[1], want[1])
        np.testing.assert_array_equal(got[2], want[2])


def test_static_columns_stay_as_last_given() -> None:
    fitted = codec()
    part = fitted.layout.now("static")
    static = fitted.encode_static({"size": 3.5, "kind": "big"})
    _, now, _ = fitted.encode_row(GOOD, None, static)
    np.testing.assert_array_equal(now[part], static)
    _, now, _ = fitted.encode_row(GOOD | {"kind": "small"}, None, static)
    np.testing.assert_array_equal(now[part], [static[0], 0, 1])
    _, now, _ = fitted.encode_row(GOOD, None)
    assert np.isnan(now[part]).all()
    with pytest.raises(StreamError, match=r"^static: no such column 'sise'\. Did you mean 'size'\?$"):
        fitted.encode_static({"sise": 1})


def test_encoding_a_row_changes_no_earlier_result() -> None:
    fitted = codec()
    first = fitted.encode_row(GOOD, None)
    kept = [part.copy() for part in first[1:]]
    fitted.encode_row(GOOD | {"y": 9.0, "ds": "2024-05-01 14:00"}, np.datetime64("2024-05-01T13:00"))
    for a, b in zip(first[1:], kept, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_cache_of_calendars_stays_small() -> None:
    fitted = codec()
    for year in range(1900, 2000):
        fitted.encode_row({"ds": f"{year}-01-01"}, None)
    assert len(fitted._live.blocks) <= 64


def test_the_live_half_loads_no_heavy_library() -> None:
    script = (
        "import sys, json\n"
        "from statewise.rows.forecast import ForecastCodec\n"
        "import statewise.rows.panel, statewise.rows.gridding\n"
        "codec = ForecastCodec.from_json(sys.stdin.read())\n"
        "codec.encode_row({'ds': '2024-05-01 13:00', 'y': 1.0}, None)\n"
        "print([m for m in ('torch', 'polars', 'pandas', 'narwhals', 'pyarrow') if m in sys.modules])\n"
    )
    plain, paths = json.dumps(codec().to_json()), os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], input=plain, env=paths, capture_output=True, text=True
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
