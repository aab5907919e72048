"""A series as the rows of a live source: what is there, what is missing, what is known ahead."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import polars as pl

from statewise.rows.panel import panel
from statewise.rows.schema import ForecastSchema
from statewise.rows.source import live_rows

SCHEMA = ForecastSchema(
    target=("y",), observed=("hum",), known=("price", "day"), static=("size",), frequency="1h"
)
START = datetime(2024, 1, 1)


def test_rows_are_plain_and_complete() -> None:
    frame = pl.DataFrame(
        {
            "ds": [START + timedelta(hours=i) for i in (0, 1, 3)],
            "y": [1.0, None, 3.0],
            "hum": [0.5, 0.25, 0.125],
            "price": [10.0, 20.0, 40.0],
            "day": ["work", "free", "work"],
            "size": [7] * 3,
        }
    )
    found = panel(frame, SCHEMA)
    rows = list(live_rows(found.series[0], SCHEMA, found.clock, 2))
    assert rows == json.loads(json.dumps(rows))
    empty = {"y": None, "hum": None, "price": None, "day": None}
    ahead = [
        {"price": [20.0, None], "day": ["free", None]},
        {"price": [None, 40.0], "day": [None, "work"]},
        {"price": [40.0], "day": ["work"]},
        {"price": [], "day": []},
    ]
    values = [
        {"y": 1.0, "hum": 0.5, "price": 10.0, "day": "work"},
        {"y": None, "hum": 0.25, "price": 20.0, "day": "free"},
        empty,
        {"y": 3.0, "hum": 0.125, "price": 40.0, "day": "work"},
    ]
    assert rows == [
        {"ds": f"2024-01-01T0{t}:00:00", "size": 7.0} | values[t] | {"future": ahead[t]} for t in range(4)
    ]


def test_without_known_columns_there_is_no_future() -> None:
    frame = pl.DataFrame({"ds": [START, START + timedelta(days=1)], "y": [1.0, 2.0]})
    found = panel(frame, ForecastSchema())
    rows = list(live_rows(found.series[0], ForecastSchema(), found.clock, 3))
    assert rows == [{"ds": "2024-01-01T00:00:00", "y": 1.0}, {"ds": "2024-01-02T00:00:00", "y": 2.0}]
