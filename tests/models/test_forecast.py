"""The model as a user has it: forecasts, rolling origins, live streams, bundles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from model_rows import VALUES, live_rows, numbers

import statewise as sw
from statewise.bundle import write_bundle
from statewise.core.errors import BundleError, ConfigError, DataError, StreamError
from statewise.models.forecast import ForecastModel

Frames = Callable[..., pl.DataFrame]


def test_forecasts_have_the_columns_times_and_order_of_the_convention(
    small_model: ForecastModel, make_frame: Frames
) -> None:
    frame = make_frame()
    made = small_model.predict(frame)
    assert made.columns == ["unique_id", "ds", "target", *VALUES]
    assert made["unique_id"].to_list() == ["s0"] * 8 + ["s1"] * 8
    assert made["target"].to_list() == (["load"] * 4 + ["price"] * 4) * 2
    for (series,), part in made.group_by("unique_id"):
        last = frame.filter(pl.col("unique_id") == series)["ds"].max()
        assert part["ds"].to_list() == [last + timedelta(hours=k) for k in range(1, 5)] * 2
    values = numbers(made)
    assert np.isfinite(values).all()
    assert (np.diff(values[:, 1:], axis=1) >= 0).all()


def test_forecasts_are_in_units_and_better_than_chance(
    small_model: ForecastModel, make_frame: Frames
) -> None:
    made = small_model.predict(make_frame(missing=0.0))
    price = made.filter(pl.col("target") == "price")
    last = make_frame(missing=0.0).group_by("unique_id", maintain_order=True).agg(pl.col("price").last())
    assert np.abs(price["mean"].to_numpy().reshape(2, 4) - last["price"].to_numpy()[:, None]).max() < 8


def test_rows_in_any_library_or_file_come_back_in_their_own(
    small_model: ForecastModel, make_frame: Frames, tmp_path: Path
) -> None:
    frame = make_frame()
    want = numbers(small_model.predict(frame))
    path = tmp_path / "rows.parquet"
    frame.write_parquet(path)
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=0).sort("unique_id", maintain_order=True)
    cases: list[tuple[Any, type]] = [
        (frame, pl.DataFrame),
        (frame.to_pandas(), pd.DataFrame),
        (frame.to_arrow(), pa.Table),
        (path, pl.DataFrame),
        (str(path), pl.DataFrame),
        (shuffled, pl.DataFrame),
    ]
    for rows, kind in cases:
        made = small_model.predict(rows, level=[80])
        assert type(made) is kind
        table = pl.DataFrame(made)
        np.testing.assert_allclose(numbers(table), want, atol=1e-4)
        np.testing.assert_array_equal(table["mean-lo-80"], table["q0.1"])
        np.testing.assert_array_equal(table["mean-hi-80"], table["q0.9"])


def test_levels_are_pairs_of_quantiles(small_model: ForecastModel, make_frame: Frames) -> None:
    made = small_model.predict(make_frame((30,)), level=[80, 20])
    assert made.columns[-4:] == ["mean-lo-80", "mean-hi-80", "mean-lo-20", "mean-hi-20"]
    np.testing.assert_array_equal(made["mean-hi-20"], made["q0.6"])
    with pytest.raises(ConfigError) as caught:
        small_model.predict(make_frame((30,)), level=[90])
    quantiles = small_model.task.levels
    assert str(caught.value) == f"level: 90 needs the quantile 0.05, the model has {quantiles}."


@settings(max_examples=12)
@given(seed=st.integers(0, 9999), missing=st.floats(0, 0.9), one=st.integers(2, 60), other=st.integers(2, 60))
def test_no_forecast_is_ever_nan(
    seed: int, missing: float, one: int, other: int, small_model: ForecastModel, make_frame: Frames
) -> None:
    frame = make_frame((one, other), seed, missing)
    seen = frame.filter(pl.col("load").is_not_nan())["unique_id"].unique()
    frame = frame.filter(pl.col("unique_id").is_in(seen.implode()))
    if len(frame):
        assert np.isfinite(numbers(small_model.predict(frame))).all()


def test_a_rolling_forecast_is_the_forecast_of_the_rows_up_to_its_cutoff(
    small_model: ForecastModel, make_frame: Frames
) -> None:
    frame = make_frame(missing=0.0)
    at_cutoff = pl.col("ds").dt.hour() % 6 == 0
    frame = frame.filter((pl.int_range(pl.len()) % 11 != 5) | at_cutoff)  # gaps elsewhere
    cutoffs = [datetime(2024, 3, 30, 0), datetime(2024, 3, 31, 12), datetime(2024, 4, 4, 0)]
    rolled = small_model.rolling(frame, [np.datetime64(cutoff, "s") for cutoff in cutoffs[::-1]])
    assert rolled.columns == ["unique_id", "ds", "target", *VALUES, "cutoff"]
    ids = rolled.group_by("cutoff", maintain_order=True).agg(pl.col("unique_id").unique().sort())
    assert dict(ids.iter_rows()) == {
        cutoffs[0]: ["s0", "s1"],
        cutoffs[1]: ["s0", "s1"],
        cutoffs[2]: ["s0"],  # the other one had ended
    }
    for cutoff in cutoffs:
        history, later = frame.filter(pl.col("ds") <= cutoff), frame.filter(pl.col("ds") > cutoff)
        history = history.filter(pl.col("ds").max().over("unique_id") == cutoff)
        alone = small_model.predict(history, later.select("unique_id", "ds", "day"))
        part = rolled.filter(pl.col("cutoff") == cutoff)
        assert part.select("unique_id", "ds", "target").equals(alone.select("unique_id", "ds", "target"))
        np.testing.assert_allclose(numbers(part), numbers(alone), rtol=1e-5, atol=1e-4)


def test_cutoffs_that_do_not_fit(small_model: ForecastModel, make_frame: Frames) -> None:
    with pytest.raises(DataError) as caught:
        small_model.rolling(make_frame(), [np.datetime64("2024-03-30T00:30")])
    assert str(caught.value) == "cutoffs: 2024-03-30T00:30:00 is off the 1h grid."
    with pytest.raises(DataError) as caught:
        small_model.rolling(make_frame(), [np.datetime64("2025-01-01T00:00")])
    assert str(caught.value) == "cutoffs: none lies within the rows of any series."


def test_known_columns_of_later_times_count(small_model: ForecastModel, make_frame: Frames) -> None:
    frame = make_frame((60,), missing=0.0)
    last = frame["ds"].max()
    ahead = pl.DataFrame({"unique_id": "s0", "ds": [last + timedelta(hours=k) for k in range(1, 5)]})
    made = [
        numbers(small_model.predict(frame, ahead.with_columns(day=pl.lit(day)))) for day in ("work", "free")
    ]
    assert np.abs(made[0] - made[1]).max() > 1e-6
    without = numbers(small_model.predict(frame))
    assert np.abs(without - made[0]).max() > 1e-6


def test_it_neither_leaks_nor_is_blind(small_model: ForecastModel, make_frame: Frames) -> None:
    assert sw.check_leak(small_model, make_frame(), cutoffs=2).largest < 1e-4
    assert len(sw.check_recency(small_model, make_frame()).movement) == 4


def test_a_stream_ends_with_the_forecast_of_all_its_rows(
    small_model: ForecastModel, make_frame: Frames
) -> None:
    frame = make_frame()
    want = small_model.predict(frame)
    streams = small_model.streams("torch")
    one = small_model.stream("s0", "torch")
    rows = sorted([*live_rows(frame, "s0"), *live_rows(frame, "s1")], key=lambda row: row["ds"])
    for row in rows:
        streams.update(row)
        if row["unique_id"] == "s0":
            one.update(row)
    hours = {"s0": 150, "s1": 90}
    for series in hours:
        forecast = streams[series].forecast
        assert forecast is not None
        part = numbers(want.filter(pl.col("unique_id") == series))
        np.testing.assert_allclose(forecast.values.reshape(8, 10), part, rtol=1e-5, atol=1e-4)
        assert (forecast.provenance.steps, forecast.provenance.warm) == (hours[series], True)
    assert one.forecast is not None
    assert streams["s0"].forecast is not None
    np.testing.assert_array_equal(one.forecast.values, streams["s0"].forecast.values)


def test_a_fork_answers_what_if(small_model: ForecastModel, make_frame: Frames) -> None:
    stream = small_model.stream("s0", "torch")
    rows = list(live_rows(make_frame(missing=0.0), "s0"))
    for row in rows[:40]:
        stream.update(row)
    free, work = (stream.fork().update(rows[40] | {"future": {"day": [day] * 4}}) for day in ("free", "work"))
    assert np.abs(free.values - work.values).max() > 1e-6
    assert stream.time == np.datetime64(rows[39]["ds"], "s")


def test_a_model_is_not_moved_by_use(small_model: ForecastModel, make_frame: Frames) -> None:
    before = {name: weight.clone() for name, weight in small_model.forecaster.state_dict().items()}
    random = torch.get_rng_state()
    small_model.predict(make_frame())
    small_model.stream("s0", "torch").update(next(live_rows(make_frame(), "s0")))
    for name, weight in small_model.forecaster.state_dict().items():
        assert torch.equal(weight, before[name])
    assert not small_model.forecaster.network.training
    assert torch.equal(torch.get_rng_state(), random)


def test_a_bundle_gives_the_same_model(
    small_model: ForecastModel, make_frame: Frames, tmp_path: Path
) -> None:
    path = small_model.save(tmp_path / "load.sw", onnx=False)
    random = torch.get_rng_state()
    again = sw.load(path)
    assert torch.equal(torch.get_rng_state(), random)
    assert again.predict(make_frame()).equals(small_model.predict(make_frame()))
    assert (again.task, again.memory, again.backbone) == (
        small_model.task,
        small_model.memory,
        small_model.backbone,
    )
    assert again.training == small_model.training
    assert again.bundle.model_hash == small_model.bundle.model_hash
    assert [sample["answer"] is None for sample in again.samples] == [True] * 46 + [False] * 2
    twice = again.save(tmp_path / "again.sw", onnx=False)
    assert twice.read_bytes() == path.read_bytes()


def test_a_damaged_or_foreign_bundle_is_one_line(small_model: ForecastModel, tmp_path: Path) -> None:
    path = small_model.save(tmp_path / "load.sw", onnx=False)
    data = path.read_bytes()
    for spoiled in (data[:-100], data[:500], b"not a bundle", b""):
        path.write_bytes(spoiled)
        with pytest.raises(BundleError, match=r"\Aload\.sw: [^\n]+\Z"):
            sw.load(path)
    with pytest.raises(BundleError, match=r"none\.sw: no such file\.$"):
        sw.load(tmp_path / "none.sw")


def changed(bundle: Any, section: str, **values: Any) -> Any:
    config = dict(bundle.config) | {section: dict(bundle.config[section]) | values}
    return replace(bundle, config=config)


def test_a_bundle_that_does_not_fit_itself_is_refused(small_model: ForecastModel, tmp_path: Path) -> None:
    bundle = small_model.bundle
    cases = {
        "bundle: no such kind of model 'forcast'. Did you mean 'forecast'?": replace(bundle, kind="forcast"),
        "bundle: config: bundle: task: no such setting 'horizn'. Did you mean 'horizon'?": changed(
            bundle, "task", horizn=3
        ),
        "bundle: config: 'memory'": replace(
            bundle, config={k: v for k, v in bundle.config.items() if k != "memory"}
        ),
        "bundle: config: cell: no such cell 'grru'. Did you mean 'gru'?": changed(
            bundle, "backbone", cell="grru"
        ),
    }
    for text, wrong in cases.items():
        write_bundle(tmp_path / "wrong.sw", wrong)
        with pytest.raises(BundleError) as caught:
            sw.load(tmp_path / "wrong.sw")
        assert str(caught.value) == text
    write_bundle(tmp_path / "wrong.sw", changed(bundle, "backbone", hidden_size=5))
    with pytest.raises(BundleError, match=r"^bundle: weights do not fit the config: [^\n]+$"):
        sw.load(tmp_path / "wrong.sw")


def test_a_bundle_whose_answers_are_not_the_models_is_refused(
    small_model: ForecastModel, tmp_path: Path
) -> None:
    weights = {name: weight.copy() for name, weight in small_model.bundle.weights.items()}
    weights["network.readout.bias"] += 0.5
    write_bundle(tmp_path / "wrong.sw", replace(small_model.bundle, weights=weights))
    with pytest.raises(BundleError, match=r"^samples: the answer to row 47 is off by"):
        sw.load(tmp_path / "wrong.sw")


def test_what_is_asked_for_has_to_exist(small_model: ForecastModel) -> None:
    with pytest.raises(ConfigError, match=r"^engine: no such engine 'onx'\. Did you mean 'onnx'\?$"):
        small_model.engine("onx")  # type: ignore[arg-type]
    with pytest.raises(StreamError, match=r"^snapshot: damaged"):
        small_model.restore(b"", "torch")
