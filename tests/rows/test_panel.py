"""Frames to grids, and every finding of the check in its exact words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import DataError
from statewise.rows.panel import panel
from statewise.rows.schema import ForecastSchema

SCHEMA = ForecastSchema()
START = datetime(2024, 1, 1)


def hourly(*hours: float) -> list[datetime]:
    return [START + timedelta(hours=hour) for hour in hours]


def frame(ds: list[Any], **columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"ds": ds, "y": [float(i) for i in range(len(ds))]} | columns)


def errors(source: Any, schema: ForecastSchema = SCHEMA, future: Any = None) -> list[str]:
    with pytest.raises(DataError) as caught:
        panel(source, schema, future)
    return str(caught.value).splitlines()


def warnings(source: Any, schema: ForecastSchema = SCHEMA) -> list[str]:
    return [str(finding) for finding in panel(source, schema).findings]


def test_a_clean_frame_has_no_findings() -> None:
    result = panel(frame(hourly(0, 1, 2)), SCHEMA)
    assert result.findings == ()
    assert (len(result), result.rows, result.frequency.name) == (1, 3, "1h")
    series = result.series[0]
    assert series.id == "series"
    np.testing.assert_array_equal(series.target, [[0], [1], [2]])
    assert (series.observed.shape, series.known.shape, series.static) == ((3, 0), (3, 0), ())
    np.testing.assert_array_equal(series.time, np.array(hourly(0, 1, 2), dtype="datetime64[s]"))


def test_duplicates() -> None:
    assert errors(frame(hourly(5, 5, 6, 7))) == [
        "ds: duplicate time 2024-01-01 05:00:00 in rows 0 and 1: keep one row per time.",
    ]
    two = frame(hourly(0, 1, 1, 2), unique_id=["a", "a", "b", "b"]).vstack(
        frame(hourly(1, 2, 2, 2), unique_id=["b", "b", "a", "c"])
    )
    assert errors(two) == [
        "ds: duplicate time 2024-01-01 01:00:00 of series 'b' in rows 2 and 4: keep one row per time.",
        "ds: duplicate time 2024-01-01 02:00:00 of series 'b' in rows 3 and 5: keep one row per time.",
    ]


def test_many_duplicates_suggest_an_id_column() -> None:
    found = errors(frame(hourly(0, 1, 2, 3, 4, 0, 1, 2, 3, 4)))
    assert found[-2:] == [
        "ds: 5 duplicate times in all.",
        "ds: several series in one frame? Name the column that tells them apart: id=.",
    ]


def test_duplicates_of_a_clock_change_say_so() -> None:
    october = [datetime(2024, 10, 27) + timedelta(hours=hour) for hour in (0, 1, 2, 2, 3, 4)]
    assert errors(frame(october)) == [
        "ds: duplicate time 2024-10-27 02:00:00 in rows 2 and 3: keep one row per time.",
        "ds: they look like the hour the clock goes back: pass timezone=, such as 'Europe/Berlin'.",
    ]
    berlin = panel(frame(october), ForecastSchema(timezone="Europe/Berlin"))
    assert berlin.findings == ()
    np.testing.assert_array_equal(np.diff(berlin.series[0].time), np.timedelta64(3600, "s"))
    np.testing.assert_array_equal(berlin.series[0].target[:, 0], np.arange(6))


def test_the_skipped_hour_is_refused() -> None:
    march = [datetime(2024, 3, 31, hour) for hour in (0, 1, 2, 3)]
    assert errors(frame(march), ForecastSchema(timezone="Europe/Berlin")) == [
        (
            "ds: row 2: 2024-03-31 02:00:00 does not exist in Europe/Berlin: the clock skips that hour; "
            "drop the row, or pass the zone the times were written in."
        ),
    ]
    there = panel(frame([march[0], march[1], march[3]]), ForecastSchema(timezone="Europe/Berlin"))
    assert there.findings == ()


@given(st.integers(0, 366 * 24), st.integers(2, 80), st.sampled_from([1, 2]), st.booleans())
def test_wall_times_of_a_zone_give_the_instants_back(
    start: int, length: int, per_hour: int, shuffle: bool
) -> None:
    utc = pl.datetime_range(
        datetime(2023, 12, 31) + timedelta(hours=start),
        datetime(2023, 12, 31) + timedelta(hours=start + length),
        f"{60 // per_hour}m",
        time_zone="UTC",
        eager=True,
    )
    wall = utc.dt.convert_time_zone("Europe/Berlin").dt.replace_time_zone(None)
    rows = pl.DataFrame({"ds": wall, "y": np.arange(len(utc), dtype=float)})
    if shuffle:  # by another column, both passes of the double hour still in order
        rows = rows.sort(pl.col("ds").dt.minute(), maintain_order=True)
    schema = ForecastSchema(timezone="Europe/Berlin", frequency=f"{60 // per_hour}min")
    series = panel(rows, schema).series[0]
    np.testing.assert_array_equal(series.time, utc.dt.replace_time_zone(None).to_numpy())
    np.testing.assert_array_equal(series.target[:, 0], np.arange(len(utc)))


def test_unordered_rows_are_sorted_with_a_warning() -> None:
    result = panel(frame(hourly(3, 1, 2, 0)), SCHEMA)
    np.testing.assert_array_equal(result.series[0].target[:, 0], [3, 1, 2, 0])
    assert [str(finding) for finding in result.findings] == ["ds: times go back in rows 1, 3: sorted."]
    assert result.findings[0].row == 1
    assert result.findings[0].level == "warning"


def test_interleaved_series_are_not_unordered() -> None:
    rows = frame(hourly(0, 0, 1, 1), unique_id=["a", "b", "a", "b"])
    result = panel(rows, SCHEMA)
    assert result.findings == ()
    np.testing.assert_array_equal(result.series[1].target[:, 0], [1, 3])


def test_gaps_are_filled_with_a_warning() -> None:
    result = panel(frame(hourly(0, 1, 2, 5, 6, 8)), SCHEMA)
    np.testing.assert_array_equal(result.series[0].target[:, 0], [0, 1, 2, np.nan, np.nan, 3, 4, np.nan, 5])
    assert [str(finding) for finding in result.findings] == [
        "ds: 2 gaps, 3 missing times (largest: 2 after 2024-01-01 02:00:00): filled with missing values.",
        "y: 33.3 % of 9 grid points are missing.",
    ]
    assert result.findings[0].row == 3


def test_gaps_of_several_series_are_counted() -> None:
    rows = frame(hourly(0, 1, 3, 0, 1, 2), unique_id=["a"] * 3 + ["b"] * 3)
    assert warnings(rows)[0] == (
        "ds: 1 gap, 1 missing times in 1 of 2 series (largest: 1 after 2024-01-01 01:00:00 of series 'a'): "
        "filled with missing values."
    )


def test_rows_off_the_grid() -> None:
    assert errors(frame(hourly(0, 1, 2, 2.5, 3, 4))) == [
        "ds: row 3: 2024-01-01 02:30:00 is off the 1h grid (nearest: 2024-01-01 02:00:00).",
        (
            "ds: 1 of 6 rows are off the grid: pass frequency='30min', whose grid holds every row, "
            "or round or drop them."
        ),
    ]
    jitter = frame([*hourly(0, 1, 2, 3), START + timedelta(hours=4, seconds=7)])
    assert errors(jitter) == [
        "ds: row 4: 2024-01-01 04:00:07 is off the 1h grid (nearest: 2024-01-01 04:00:00).",
        "ds: 1 of 5 rows are off the grid: round or drop them.",
    ]
    assert panel(frame(hourly(0, 1, 2, 2.5)), ForecastSchema(frequency="30min")).rows == 6


def test_series_of_mixed_frequency() -> None:
    rows = frame(hourly(*range(12)), unique_id=["a"] * 12).vstack(
        frame(hourly(*range(0, 240, 24)), unique_id=["b"] * 10)
    )
    assert errors(rows) == [
        (
            "ds: mixed frequency: series 'b' has a step of 1d, the grid 1h: "
            "fit such series apart, or pass frequency= to read them with gaps."
        ),
    ]
    assert panel(rows, ForecastSchema(frequency="1h")).rows == 12 + 217


def test_one_wrong_date_does_not_fill_the_memory() -> None:
    rows = frame([*hourly(0, 1, 2, 3), datetime(3024, 1, 1)])
    assert errors(rows) == [
        (
            "ds: gaps would fill 8,765,804 points of the 1h grid for 5 rows (largest: 8,765,804 after "
            "2024-01-01 03:00:00): look for a wrong date."
        ),
    ]


def test_missing_unreadable_and_fractional_times() -> None:
    assert errors(frame(["2024-01-01 00:00", None, "noon", "1 pm"])) == [
        "ds: no time in row 1: drop them.",
        "ds: row 2: got 'noon', want ISO text such as '2024-05-01 13:00:00' (2 such rows): parse it first.",
        "ds: row 3: got '1 pm', want ISO text such as '2024-05-01 13:00:00' (2 such rows): parse it first.",
    ]
    assert errors(frame([START, START + timedelta(milliseconds=1500)])) == [
        "ds: fraction of a second in row 1: round the times to the grid.",
    ]


def test_missing_ids() -> None:
    assert errors(frame(hourly(0, 1), unique_id=["a", None])) == [
        "unique_id: no id in row 1: name the series."
    ]
    assert errors(frame(hourly(0, 1), shop=["a", "b"]), ForecastSchema(id="shops")) == [
        "id: the frame has no column 'shops'. Did you mean 'shop'?",
    ]


def test_infinities_and_text() -> None:
    rows = frame(hourly(0, 1, 2, 3, 4), x=[1.0, np.inf, 2.0, -np.inf, 3.0], t=["1", "2", "3", "4", "5"])
    assert errors(rows, ForecastSchema(target=("y", "t"), observed=("x",))) == [
        "t: row 0: got text '1', a target wants numbers: cast the column.",
        "x: infinite value in rows 1, 3: replace it by a number or leave it empty.",
    ]


def test_all_missing_and_constant_columns() -> None:
    rows = frame(
        hourly(0, 1, 2, 0, 1, 2),
        unique_id=["a"] * 3 + ["b"] * 3,
        y=[None] * 3 + [1.0] * 3,
        flat=[7.0] * 6,
        empty=[None] * 6,
    )
    schema = ForecastSchema(observed=("flat", "empty"))
    assert errors(rows, schema) == ["y: every value is missing in 1 of 2 series ('a'): drop such series."]
    filled = rows.with_columns(pl.Series("y", [1.0, 2.0, 3.0, 1.0, 1.0, 1.0]))
    assert warnings(filled, schema) == [
        "y: constant in 1 of 2 series ('b'): there is nothing to learn from it.",
        "flat: constant: there is nothing to learn from it.",
        "empty: every value is missing: leave the column out.",
    ]
    assert errors(frame(hourly(0, 1), y=[None, None])) == ["y: every value is missing: give it values."]


def test_missing_columns_and_rows() -> None:
    assert errors(frame(hourly(0, 1)), ForecastSchema(target=("yy",), known=("holiday",))) == [
        "target: the frame has no column 'yy'. Did you mean 'y'?",
        "known: the frame has no column 'holiday'. Known: ds, y.",
    ]
    assert errors(frame(hourly(0, 1)).head(0)) == ["data: the frame has no rows."]


def test_static_columns_are_one_value_per_series() -> None:
    rows = frame(
        hourly(0, 1, 0, 1),
        unique_id=["a", "a", "b", "b"],
        size=[None, 2.0, 3.0, 3.0],
        kind=["x", "x", None, None],
    )
    schema = ForecastSchema(static=("size", "kind"))
    assert [series.static for series in panel(rows, schema).series] == [(2.0, "x"), (3.0, None)]
    changing = rows.with_columns(size=pl.Series([1.0, 1.0, 3.0, 4.0]))
    assert errors(changing, schema) == [
        "size: static, but changes of series 'b' at row 3: make it observed or known.",
    ]


def test_the_id_may_be_a_static_column() -> None:
    rows = frame(hourly(0, 1, 0, 1), unique_id=[7, 7, 3, 3])
    result = panel(rows, ForecastSchema(static=("unique_id",)))
    assert [series.static for series in result.series] == [("7",), ("3",)]


def test_known_columns_go_on_into_the_future() -> None:
    rows = frame(hourly(0, 1, 0, 1), unique_id=["a", "a", "b", "b"], k=["x", "y", "x", "x"])
    future = pl.DataFrame(
        {"unique_id": ["a", "a", "a", "c"], "ds": hourly(1, 2, 4, 2), "k": ["old", "z", "y", "x"]}
    )
    result = panel(rows, ForecastSchema(known=("k",)), future)
    first, second = result.series
    assert first.categories["k"] == ("x", "y", "old", "z")
    np.testing.assert_array_equal(first.known[:, 0], [0, 1, 3, np.nan, 1])
    np.testing.assert_array_equal(second.known[:, 0], [0, 0])
    assert len(first.head(1, future=2).known) == 3
    assert len(first.head(1)) == 1


def test_errors_in_the_future_rows() -> None:
    rows = frame(hourly(0, 1), k=[1.0, 2.0])
    schema = ForecastSchema(known=("k",))
    assert errors(rows, schema, pl.DataFrame({"ds": hourly(2, 2.5), "k": [1.0, 1.0]}))[0] == (
        "ds: row 1: 2024-01-01 02:30:00 is off the 1h grid (nearest: 2024-01-01 02:00:00)."
    )
    assert errors(rows, schema, pl.DataFrame({"ds": hourly(2), "j": [1.0]})) == [
        "future known: the frame has no column 'k'. Known: ds, j.",
    ]
    assert errors(rows, schema, pl.DataFrame({"ds": hourly(2), "k": ["warm"]})) == [
        "k: the future rows hold text, the history numbers: use one kind.",
    ]
    aware = pl.DataFrame({"ds": pl.Series(hourly(2)).dt.replace_time_zone("UTC"), "k": [1.0]})
    assert errors(rows, schema, aware) == [
        (
            "ds: got times that carry the zone UTC, want times without a time zone as in the rows before: "
            "convert the times."
        ),
    ]


def test_aware_days_follow_the_wall_through_a_clock_change() -> None:
    local = pd.date_range("2024-03-28", periods=6, freq="D", tz="Europe/Berlin")
    result = panel(pd.DataFrame({"ds": local, "y": np.arange(6.0)}), SCHEMA)
    assert (result.frequency.name, result.clock.whole_days, result.rows) == ("1d", True, 6)
    np.testing.assert_array_equal(
        result.series[0].time, local.tz_localize(None).to_numpy().astype("datetime64[s]")
    )


def test_aware_hours_run_in_utc() -> None:
    local = pd.date_range("2024-10-27", periods=30, freq="h", tz="Europe/Berlin")
    result = panel(pd.DataFrame({"ds": local, "y": np.arange(30.0)}), SCHEMA)
    assert result.findings == ()
    assert result.clock.timezone == "Europe/Berlin"
    assert result.series[0].time[0] == np.datetime64("2024-10-26T22:00")


def test_every_library_gives_the_same_panel() -> None:
    rows = frame(
        hourly(0, 1, 3, 2, 0, 1), unique_id=["b"] * 4 + ["a"] * 2, x=[1, None, 3, 4, 5, 6], k=list("xyxyxy")
    )
    schema = ForecastSchema(observed=("x",), known=("k",))
    want = panel(rows, schema)
    for other in (rows.to_pandas(), rows.to_arrow(), rows.lazy()):
        got = panel(other, schema)
        assert (got.findings, got.frequency, got.id_kind) == (want.findings, want.frequency, want.id_kind)
        for a, b in zip(got.series, want.series, strict=True):
            assert (a.id, a.categories) == (b.id, b.categories)
            for part in ("time", "target", "observed", "known"):
                np.testing.assert_array_equal(getattr(a, part), getattr(b, part))


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 40)), min_size=2, unique=True), st.randoms())
def test_gridding_keeps_every_value_at_its_time(rows: list[tuple[int, int]], random: Any) -> None:
    ids, hours = [str(series) for series, _ in rows], [hour for _, hour in rows]
    table = frame(hourly(*hours), unique_id=ids, y=[100.0 * series + hour for series, hour in rows])
    result = panel(table, ForecastSchema(frequency="1h"))
    seen = 0
    for series in result.series:
        hour = (series.time - np.datetime64(START, "s")).astype(int) // 3600
        there = ~np.isnan(series.target[:, 0])
        np.testing.assert_array_equal(series.target[there, 0], 100.0 * int(series.id) + hour[there])
        np.testing.assert_array_equal(np.diff(hour), 1)
        seen += int(there.sum())
    assert seen == len(rows)


def test_whole_number_ids_are_remembered() -> None:
    result = panel(frame(hourly(0, 1, 0, 1), unique_id=[7, 7, 3, 3]), SCHEMA)
    assert ([series.id for series in result.series], result.id_kind) == (["7", "3"], "number")
