"""The codec: what is fitted, exact JSON, and the law: live rows give the bits of the whole series."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from forecast_rows import HORIZON, SCHEMA, START, codec, live, rows
from hypothesis import given
from hypothesis import strategies as st

from statewise.core.errors import BundleError, ConfigError, DataError
from statewise.rows.forecast import ForecastCodec
from statewise.rows.frequency import parse
from statewise.rows.panel import panel
from statewise.rows.schema import ForecastSchema


@given(st.integers(2, 60), st.integers(0, 10_000), st.floats(0.3, 1.0))
def test_live_rows_give_the_bits_of_the_whole(length: int, seed: int, keep: float) -> None:
    fitted, table = codec(), rows(length, seed, keep)
    if table.is_empty():
        return
    for series in fitted.panel(table.with_columns(pl.col("hum").fill_nan(None))).series:
        now, future = fitted.encode(series)
        assert (now.dtype, future.dtype) == (np.float32, np.float32)
        assert (now.shape, future.shape) == (
            (len(series), fitted.layout.now_size),
            (len(series) + HORIZON, fitted.layout.future_size),
        )
        position, previous = 0, None
        for row in live(table, series, 0):
            gap, now_t, future_t = fitted.encode_row(row, previous)
            if gap:
                assert previous is not None
                missing, ahead = fitted.encode_gap(previous, gap, now_t, future_t)
                for step in range(gap):
                    np.testing.assert_array_equal(missing[step], now[position])
                    np.testing.assert_array_equal(ahead[step], future[position + 1 : position + 1 + HORIZON])
                    position += 1
            np.testing.assert_array_equal(now_t, now[position])
            np.testing.assert_array_equal(future_t, future[position + 1 : position + 1 + HORIZON])
            position += 1
            previous = fitted.row_time(row, previous)
        assert position == len(series)


@pytest.mark.parametrize("timezone", [None, "Europe/Berlin"])
@pytest.mark.parametrize("step", ["10min", "1h", "1d", "1w", "1mo", "1B"])
def test_the_law_on_every_grid_and_through_a_clock_change(step: str, timezone: str | None) -> None:
    schema = ForecastSchema(timezone=timezone, frequency=step)
    frequency = parse(step)
    start = frequency.index(np.array(["2024-10-25"], dtype="datetime64[s]"))[0]
    times = frequency.time(np.arange(start, start + 500))
    if timezone and not frequency.whole_days:
        instants = pl.Series(times.astype("datetime64[ms]")).dt.replace_time_zone("UTC")
        wall = instants.dt.convert_time_zone(timezone).dt.replace_time_zone(None)
    else:
        wall = pl.Series(times.astype("datetime64[ms]"))
    kept = np.random.default_rng(1).random(len(times)) < 0.8
    table = pl.DataFrame({"ds": wall, "y": np.arange(len(times), dtype=float)}).filter(pl.Series(kept))
    history = panel(table, schema)
    fitted = ForecastCodec.fit(history, 3)
    now, future = fitted.encode(history.series[0])
    previous = None
    position = -1
    for row in table.to_dicts():
        gap, now_t, future_t = fitted.encode_row(row, previous)
        previous = fitted.row_time(row, previous)
        position += gap + 1
        np.testing.assert_array_equal(now_t, now[position])
        np.testing.assert_array_equal(future_t, future[position + 1 : position + 4])
    assert position == len(history.series[0]) - 1


def test_channels_are_named_and_sliced() -> None:
    fitted = codec()
    layout = fitted.layout
    assert fitted.channels[: layout.now("calendar").start] == (
        *("y", "z", "hum", "price", "day=feast", "day=free", "day=work"),
    )
    assert fitted.channels[layout.now("static")] == ("size", "kind=big", "kind=small")
    assert (layout.target, layout.observed, layout.known, layout.calendar, layout.static) == (2, 1, 4, 12, 3)
    assert (layout.now_size, layout.future_size) == (len(fitted.channels), 16)
    assert (layout.future("known"), layout.future("calendar")) == (slice(0, 4), slice(4, 16))
    with pytest.raises(ConfigError, match=r"^layout: no such part 'y', want one of known, calendar\.$"):
        layout.future("y")


@pytest.mark.parametrize(
    ("length", "want"),
    [(47, ()), (48, ("day",)), (335, ("day",)), (336, ("day", "week")), (730 * 24, ("day", "week", "year"))],
)
def test_the_calendar_holds_what_the_rows_went_through_twice(length: int, want: tuple[str, ...]) -> None:
    ds = pl.datetime_range(START, START + timedelta(hours=length - 1), "1h", eager=True)
    table = pl.DataFrame({"ds": ds, "y": np.arange(length) % 24 * 1.0})
    fitted = ForecastCodec.fit(panel(table, ForecastSchema()), 2)
    assert fitted.periods == want
    assert ForecastCodec.from_json(json.dumps(fitted.to_json())).periods == want
    series = fitted.panel(table.head(40)).series[0]
    now, future = fitted.encode(series)
    sizes = {"day": 6, "week": 6, "year": 2}
    assert future.shape == (42, sum(sizes[period] for period in want))
    gap, now_t, future_t = fitted.encode_row(table.row(39, named=True), None)
    assert gap == 0
    np.testing.assert_array_equal(now_t, now[39])
    np.testing.assert_array_equal(future_t, future[40:])


def test_the_longest_series_decides_on_the_calendar() -> None:
    frames = [
        pl.DataFrame({"unique_id": name, "ds": START, "y": 1.0}).select(
            "unique_id", pl.datetime_ranges("ds", START + timedelta(days=days - 1), "1d").alias("ds"), "y"
        )
        for name, days in (("short", 5), ("long", 20))
    ]
    table = pl.concat(frames).explode("ds").with_columns(y=pl.int_range(pl.len()).cast(pl.Float64))
    assert ForecastCodec.fit(panel(table, ForecastSchema()), 2).periods == ("week",)


def test_what_is_not_known_of_the_future_is_missing() -> None:
    history = panel(rows(20, keep=1.1), SCHEMA)
    future = pl.DataFrame(
        {"unique_id": ["a"], "ds": [START + timedelta(hours=21)], "price": [0.5], "day": ["never seen"]}
    )
    fitted = ForecastCodec.fit(history, HORIZON)
    series = fitted.panel(rows(20, keep=1.1), future).series[0]
    known = fitted.encode(series).future[20:, fitted.layout.future("known")]
    price = (0.5 - fitted.columns[3].mean) / fitted.columns[3].scale
    np.testing.assert_array_equal(known[1], np.array([price, 0, 0, 0], dtype=np.float32))
    assert np.isnan(np.delete(known, 1, axis=0)).all()
    calendar = fitted.encode(series).future[:, fitted.layout.future("calendar")]
    assert np.isfinite(calendar).all()


def test_more_future_than_the_horizon_is_cut() -> None:
    series = codec().panel(rows(30, keep=1.1)).series[0]
    now, future = codec().encode(series.head(10))
    assert (len(now), len(future)) == (10, 10 + HORIZON)
    assert np.isfinite(future).all()


def test_targets_are_standardised_and_decoded_back() -> None:
    fitted = codec()
    series = fitted.panel(rows(50)).series[0]
    encoded = fitted.encode(series).now[:, fitted.layout.now("target")]
    np.testing.assert_allclose(fitted.decode(encoded, 1), series.target, rtol=1e-5, atol=1e-5)
    cube = np.random.default_rng(0).normal(size=(3, 2, 5))
    np.testing.assert_allclose(
        fitted.decode(cube, 1)[:, 1], cube[:, 1] * fitted.target_scale[1] + fitted.target_mean[1]
    )
    np.testing.assert_allclose(fitted.decode(cube.swapaxes(1, 2), -1), fitted.decode(cube, 1).swapaxes(1, 2))


def test_only_training_rows_count() -> None:
    history = panel(rows(400), SCHEMA)
    head = replace(history, series=tuple(series.head(200) for series in history.series))
    assert ForecastCodec.fit(head, 1).target_mean[0] == pytest.approx(
        np.nanmean(np.concatenate([series.target[:200, 0] for series in history.series]))
    )


def test_the_profile_is_the_mean_by_hour_of_the_week_on_the_wall() -> None:
    times = pl.datetime_range(
        datetime(2024, 3, 1), datetime(2024, 4, 30), "1h", time_zone="Europe/Berlin", eager=True
    )
    table = pl.DataFrame({"ds": times, "y": times.dt.hour().cast(pl.Float64)})
    fitted = ForecastCodec.fit(panel(table, ForecastSchema()), 1)
    assert fitted.profile.shape == (168, 1)
    history = panel(table, ForecastSchema()).series[0]
    phase = fitted.phase(history.time)
    np.testing.assert_allclose(fitted.decode(fitted.profile, 1)[phase], history.target, atol=1e-9)


def test_the_profile_is_finite_however_short_or_empty_the_rows() -> None:
    for length, size in ((3, 1), (60, 24), (400, 168)):
        y = np.random.default_rng(0).normal(size=length)
        y[5::24] = np.nan
        ds = [START + timedelta(hours=i) for i in range(length)]
        fitted = ForecastCodec.fit(panel(pl.DataFrame({"ds": ds, "y": y}), ForecastSchema()), 1)
        assert fitted.profile.shape == (size, 1)
        assert np.isfinite(fitted.profile).all()


def test_json_is_exact() -> None:
    fitted = codec()
    again = ForecastCodec.from_json(json.dumps(fitted.to_json()))
    assert again.to_json() == fitted.to_json()
    np.testing.assert_array_equal(again.profile, fitted.profile)
    assert (again.columns, again.schema, again.clock) == (fitted.columns, fitted.schema, fitted.clock)
    series = fitted.panel(rows(30)).series[0]
    for a, b in zip(fitted.encode(series), again.encode(series), strict=True):
        np.testing.assert_array_equal(a, b)


@given(st.floats(-1e300, 1e300), st.floats(1e-300, 1e300))
def test_any_level_survives_json(mean: float, scale: float) -> None:
    fitted = codec()
    columns = (replace(fitted.columns[0], mean=mean, scale=scale), *fitted.columns[1:])
    assert ForecastCodec.from_json(json.dumps(replace(fitted, columns=columns).to_json())).columns == columns


def test_foreign_json_is_refused() -> None:
    plain = codec().to_json()
    cases = {
        "codec: no such setting 'colums'. Did you mean 'columns'?": plain | {"colums": []},
        "codec.horizon: got 'x', want a whole number.": plain | {"horizon": "x"},
        "codec: columns or profile do not fit the schema.": plain | {"columns": plain["columns"][1:]},
    }
    for text, damaged in cases.items():
        with pytest.raises(BundleError) as caught:
            ForecastCodec.from_json(damaged)
        assert str(caught.value) == text


def test_new_rows_have_to_fit_the_model() -> None:
    fitted = codec()
    aware = rows(30).with_columns(pl.col("ds").dt.replace_time_zone("UTC"))
    with pytest.raises(DataError) as caught:
        fitted.panel(aware)
    want = "want times without a time zone as in the rows before: convert the times."
    assert str(caught.value) == f"ds: got times that carry the zone UTC, {want}"
    with pytest.raises(
        DataError, match=r"^hum: got text, the model was trained on numbers: cast the column\.$"
    ):
        fitted.panel(rows(30).with_columns(hum=pl.lit("wet")))
    shifted = rows(30).with_columns(pl.col("ds") + timedelta(minutes=30))
    with pytest.raises(DataError, match=r"^ds: row 0: 2024-03-30 20:30:00 of series 'a' is off the 1h grid"):
        fitted.panel(shifted)
    assert fitted.panel(rows(30).head(1)).rows == 1


def test_another_aware_zone_is_converted() -> None:
    ds = pl.Series([START + timedelta(hours=i) for i in range(50)]).dt.replace_time_zone("UTC")
    table = pl.DataFrame({"ds": ds, "y": np.arange(50.0)})
    fitted = ForecastCodec.fit(panel(table, ForecastSchema()), 1)
    tokyo = fitted.panel(table.with_columns(pl.col("ds").dt.convert_time_zone("Asia/Tokyo")))
    assert tokyo.clock == fitted.clock
    np.testing.assert_array_equal(tokyo.series[0].time, panel(table, ForecastSchema()).series[0].time)


def test_a_horizon_is_at_least_one() -> None:
    with pytest.raises(ConfigError, match=r"^horizon: got 0, want at least 1\.$"):
        ForecastCodec.fit(panel(rows(30), SCHEMA), 0)
