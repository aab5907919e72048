"""Shares of the past in a forecast: additive, exact, and honest about what was asked."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from statewise.core.errors import ConfigError
from statewise.models.forecast import ForecastModel
from statewise.tasks.forecast import Forecast

MakeFrame = Callable[..., pl.DataFrame]
MakeModel = Callable[..., ForecastModel]
NEWEST, BEFORE = 48, 168


def test_baseline_and_contributions_add_up_to_the_real_forecast(
    model: ForecastModel, frame: pl.DataFrame
) -> None:
    found = model.explain(frame)
    np.testing.assert_allclose(found.baseline + found.contributions.sum(axis=0), found.forecast, atol=1e-9)
    np.testing.assert_allclose(found.forecast, model.predict(frame)["q0.5"].to_numpy(), atol=1e-4)
    assert np.abs(found.contributions).max() > 0.1
    assert sum(found.shares.values()) == pytest.approx(1)
    assert list(found.shares) == [
        "last 48 hours", "the week before", "older memory", "season",
        "temp", "wind", "quiet", "holiday", "static",
    ]  # fmt: skip


def test_linear_network_has_the_values_known_by_hand(linear_model: MakeModel, make_frame: MakeFrame) -> None:
    model, frame = linear_model(), make_frame(650)
    found = model.explain(frame)
    codec, network = model.codec, model.forecaster.network
    series = codec.panel(frame).series[0]
    now, future = codec.encode(series)
    weight = network.weight.detach().numpy()[:, 0]  # [F, H]
    known = network.known.detach().numpy()[:, 0]
    age = network.decay ** np.arange(len(now) - 1, -1, -1)
    layout, start = codec.layout, len(now) - (NEWEST + BEFORE + model.memory.lags + 1)
    profile = codec.profile[codec.phase(series.time), 0]
    rows = np.arange(len(now))
    bands = {
        "last 48 hours": rows >= len(now) - NEWEST,
        "the week before": (rows >= len(now) - NEWEST - BEFORE) & (rows < len(now) - NEWEST),
        "older memory": (rows >= start) & (rows < len(now) - NEWEST - BEFORE),
    }
    scale = codec.target_scale[0]
    want = {}
    for name, rows_of in bands.items():
        # A band's real values stand against 0 or, with the season, the profile: half of that is the season's.
        want[name] = (age * (now[:, 0] - profile / 2))[rows_of].sum() * weight[0]
    want["older memory"] = want["older memory"] + (age[:start, None] * now[:start]).sum(0) @ weight
    calendar = layout.now("calendar")
    recent = age[start:, None] * now[start:]
    ahead = future[len(now) :]
    want["season"] = (age * profile)[start:].sum() / 2 * weight[0] + recent[:, calendar].sum(0) @ weight[
        calendar
    ]
    want["season"] = want["season"] + ahead[:, layout.future("calendar")] @ known[layout.future("calendar")]
    for place, name in enumerate(("temp", "wind", "quiet", "holiday"), start=1):
        want[name] = recent[:, place].sum() * weight[place]
    want["static"] = recent[:, -1].sum() * weight[-1]
    for name, line in zip(found.shares, found.contributions, strict=True):
        np.testing.assert_allclose(line, scale * want[name], atol=2e-3, err_msg=name)
    np.testing.assert_allclose(found.baseline, codec.target_mean[0], atol=1e-4)


def test_equal_covariates_get_equal_shares(linear_model: MakeModel, frame: pl.DataFrame) -> None:
    model = linear_model(bend=True)
    weight = model.forecaster.network.weight.data
    weight[2] = weight[1]  # wind is temp again, number by number
    found = model.explain(frame)
    lines = dict(zip(found.shares, found.contributions, strict=True))
    np.testing.assert_allclose(lines["temp"], lines["wind"], atol=1e-4)
    assert np.abs(lines["temp"]).max() > 0.1


def test_a_covariate_the_network_ignores_gets_nothing(linear_model: MakeModel, frame: pl.DataFrame) -> None:
    model = linear_model(bend=True)
    model.forecaster.network.weight.data[1] = 0
    assert model.explain(frame).shares["temp"] == 0.0


def test_a_constant_covariate_and_one_never_seen_get_nothing(
    model: ForecastModel, frame: pl.DataFrame
) -> None:
    found = model.explain(frame.with_columns(wind=pl.lit(None, dtype=pl.Float64)))
    assert found.shares["quiet"] == 0.0  # it always stands at its training mean
    assert found.shares["wind"] == 0.0


def test_older_memory_of_a_short_series_is_nothing(model: ForecastModel, frame: pl.DataFrame) -> None:
    found = model.explain(frame.head(100))
    assert found.shares["older memory"] == 0.0
    assert found.shares["the week before"] > 0
    found = model.explain(frame.head(20))
    assert found.shares["the week before"] == 0.0
    np.testing.assert_allclose(found.forecast, model.predict(frame.head(20))["q0.5"].to_numpy(), atol=1e-4)


def test_small_batches_give_the_same_shares(
    model: ForecastModel, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = model.explain(frame)
    monkeypatch.setattr("statewise.explain.replay._BUDGET", 300_000)
    np.testing.assert_allclose(model.explain(frame).contributions, whole.contributions, atol=1e-4)


def test_at_and_origins_are_exact_per_origin(model: ForecastModel, frame: pl.DataFrame) -> None:
    one = model.explain(frame, at="2024-01-28T11:00:00")
    other = model.explain(frame, at="2024-01-27T11:00:00")
    both = model.explain(frame, at=frame["ds"][27 * 24 + 11], origins=2)
    assert both.origins == ("2024-01-27T11:00:00", "2024-01-28T11:00:00")
    np.testing.assert_allclose(both.effects, np.concatenate((other.effects, one.effects)), atol=1e-4)
    made = model.rolling(frame, [np.datetime64("2024-01-28T11:00:00", "s")])
    np.testing.assert_allclose(one.forecast, made["q0.5"].to_numpy(), atol=1e-4)
    np.testing.assert_allclose(both.baseline + both.contributions.sum(axis=0), both.forecast, atol=1e-9)


def test_future_known_columns_are_explained(model: ForecastModel, frame: pl.DataFrame) -> None:
    tail = frame.tail(6).with_columns(pl.col("ds") + pl.duration(hours=6), holiday=pl.lit(1.0))
    future = tail.select("unique_id", "ds", "holiday")
    with_plans, without = model.explain(frame, future), model.explain(frame)
    assert with_plans.shares["holiday"] != without.shares["holiday"]
    predicted = model.predict(frame, future)["q0.5"].to_numpy()
    np.testing.assert_allclose(with_plans.forecast, predicted, atol=1e-4)


def test_horizon_is_a_slice_of_the_steps(model: ForecastModel, frame: pl.DataFrame) -> None:
    whole, part = model.explain(frame), model.explain(frame, horizon=slice(1, 3))
    np.testing.assert_allclose(part.contributions, whole.contributions[:, 1:3], atol=1e-5)
    assert part.ahead == (2, 3)


def test_groups_merge_covariates(model: ForecastModel, frame: pl.DataFrame) -> None:
    found = model.explain(frame, group={"weather": ["temp", "wind", "quiet"]})
    names = ["last 48 hours", "the week before", "older memory", "season", "weather", "holiday", "static"]
    assert list(found.shares) == names


def test_many_covariates_go_by_role(make_model: MakeModel, make_frame: MakeFrame) -> None:
    names = [f"c{i}" for i in range(9)]
    frame = make_frame().with_columns(**{name: pl.col("temp") for name in names})
    task = Forecast(horizon=6, observed=names, known=["holiday"], lags=24)
    model = make_model(task, frame)
    assert list(model.explain(frame).shares)[4:] == ["observed columns", "known columns"]
    with pytest.raises(ConfigError) as caught:
        model.explain(frame, group={})
    assert str(caught.value) == (
        "explain: got 14 players, 16,384 coalitions, want at most 12 players: merge covariates, as in "
        'group={"weather": ["temp", "wind"]}.'
    )


def test_series_and_targets_by_name(make_model: MakeModel, make_frame: MakeFrame) -> None:
    task = Forecast(horizon=3, target=["y", "z"], observed=["temp"], lags=24)
    frame = make_frame(300, ("a", "b"))
    model = make_model(task, frame)
    found = model.explain(frame, series_id="b", target="z")
    want = model.predict(frame).filter(pl.col("unique_id") == "b", pl.col("target") == "z")
    np.testing.assert_allclose(found.forecast, want["q0.5"].to_numpy(), atol=1e-4)
    assert (found.target, found.series_id) == ("z", "b")
    assert found.heading == "z of b, steps 1 to 3 ahead (1h each), forecast at 2024-01-13T11:00:00"
    assert model.explain(frame).series_id == "a"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"series_id": "c"}, "series: no such series 'c'. Known: a."),
        ({"target": "x"}, "target: no such target 'x'. Known: y."),
        ({"horizon": 6}, "horizon: got 6, want a slice of the steps: slice(0, 6) is the next six."),
        ({"horizon": slice(6, 9)}, "horizon: slice(6, 9, None) holds none of the 6 steps ahead."),
        (
            {"at": "2024-03-01"},
            (
                "at: got '2024-03-01', want a grid time of the data, from 2024-01-01T00:00:00 to "
                "2024-01-30T03:00:00."
            ),
        ),
        ({"at": "noon"}, "at: got 'noon', want a time such as '2024-05-01T13:00:00'."),
        ({"origins": 40}, "origins: got 40, want 1 to 30 (24 hours apart, as many as the rows hold)."),
        ({"group": {"weather": ["tmp"]}}, "group: 'weather' holds 'tmp', no covariate. Did you mean 'temp'?"),
        ({"group": {"weather": "temp"}}, "group: 'weather' holds the text 'temp', want a list: ['temp']."),
        ({"group": {"a": ["temp"], "b": ["temp"]}}, "group: 'temp' is in 'a' and 'b', want it in one."),
        (
            {"group": {"season": ["temp"]}},
            "group: 'season' names two players: choose another name for the group.",
        ),
    ],
)
def test_errors(model: ForecastModel, frame: pl.DataFrame, options: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        model.explain(frame, **options)
    assert str(caught.value) == text


def test_bundle_explains_the_same(model: ForecastModel, frame: pl.DataFrame, tmp_path: Path) -> None:
    import statewise as sw

    model.save(tmp_path / "m.sw", onnx=False)
    again = sw.load(tmp_path / "m.sw").explain(frame)
    assert json.dumps(again.to_mapping()) == json.dumps(model.explain(frame).to_mapping())


def test_a_model_that_looks_back_n_steps_has_no_older_memory(
    make_model: MakeModel, frame: pl.DataFrame
) -> None:
    model = make_model(Forecast(horizon=6, lookback=48, segment_length=12), frame)
    found = model.explain(frame)
    assert found.shares["older memory"] == pytest.approx(0, abs=1e-4)
    assert found.shares["last 48 hours"] > 0.01
    np.testing.assert_allclose(found.forecast, model.predict(frame)["q0.5"].to_numpy(), atol=1e-4)
