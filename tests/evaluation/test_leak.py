"""The two checks catch planted faults of the kinds found in public libraries, and pass honest forecasters."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from statewise.core.errors import ConfigError, LawError
from statewise.evaluation.baselines import drift, naive, seasonal_naive
from statewise.evaluation.leak import check_leak, check_recency, fitted, from_history
from statewise.rows.schema import ForecastSchema

H = 6
SCHEMA = ForecastSchema(frequency="1h")


def answer(history: pl.DataFrame, forecast) -> pl.DataFrame:
    """Forecast frame of `forecast(values) -> [H]` per series."""
    parts = []
    for (name,), part in history.group_by("unique_id", maintain_order=True):
        part = part.sort("ds")
        ds = np.datetime64(part["ds"][-1], "us") + np.arange(1, H + 1) * np.timedelta64(3600, "s")
        mean = forecast(part["y"].to_numpy())
        parts.append(pl.DataFrame({"unique_id": [name] * H, "ds": ds, "mean": mean}))
    return pl.concat(parts)


def up_to(rows: pl.DataFrame, cutoff) -> pl.DataFrame:
    return rows.filter(pl.col("ds") <= cutoff)


def scaled_on_all_rows(rows: pl.DataFrame, cutoff) -> pl.DataFrame:
    """The leak of a leading kit: one scaler fitted on all rows before the windows are cut."""
    centre, scale = rows["y"].mean(), rows["y"].std()
    shrunk = lambda values: np.full(H, 0.5 * (values[-1] - centre) / scale * scale + centre)  # noqa: E731
    return answer(up_to(rows, cutoff), shrunk)


def last_outputs(history: pl.DataFrame, future=None) -> pl.DataFrame:
    """The blindness of two leading kits: the last H outputs of a recurrence are read as the H horizons."""

    def forecast(values):
        state, outputs = 0.0, []
        for value in values:
            state = np.tanh(0.5 * state + 0.1 * value)
            outputs.append(state)
        return np.array(outputs[-H:])

    return answer(history, forecast)


def test_a_scaler_fitted_on_all_rows_is_caught(frame, task):
    with pytest.raises(LawError) as error:
        check_leak(scaled_on_all_rows, frame, task)
    text = str(error.value)
    assert text.startswith("check_leak: forecasts from 2024-01-10 20:00:00 moved by up to 1")
    assert "(mean, series 'a', step 1) when only rows after it changed (wild values): " in text
    assert text.endswith("fit every statistic on rows up to the cutoff.")


def test_the_same_scaler_on_the_past_is_honest(frame, task):
    result = check_leak(lambda rows, cutoff: scaled_on_all_rows(up_to(rows, cutoff), cutoff), frame, task)
    assert result.largest == 0.0
    assert len(result.cutoffs) == 3
    assert str(result) == (
        "No leak: 3 cutoffs × 3 poisons of the future moved no forecast (largest movement 0)."
    )


def test_a_fit_on_everything_is_caught_through_its_closure(frame, task):
    def make(rows):
        centre = rows["y"].mean()
        return lambda history, future: answer(history, lambda values: np.full(H, values[-1] + 1e-3 * centre))

    with pytest.raises(LawError, match=r"check_leak: forecasts from .* moved by up to"):
        check_leak(fitted(make, task), frame, task)
    check_leak(fitted(lambda rows: naive(SCHEMA, H), task), frame, task)


def test_peeking_at_later_rows_only_is_caught_by_appending(frame, task):
    """What looks no further than the length of the frame still looks ahead."""

    def by_length(rows, cutoff):
        return answer(up_to(rows, cutoff), lambda values: np.full(H, values[-1] + len(rows)))

    with pytest.raises(LawError, match=r"\(more rows appended\)"):
        check_leak(by_length, frame, task)


def test_observed_columns_are_poisoned_and_known_ones_are_not(frame, make_task):
    frame = frame.with_columns(
        pl.col("ds").dt.hour().cast(pl.Float64).alias("hour"), pl.col("y").alias("seen")
    )

    def uses(column):
        def ask(rows, cutoff):
            later = rows.filter(pl.col("ds") > cutoff)[column].head(H).to_numpy()
            return answer(up_to(rows, cutoff), lambda values: later)

        return ask

    task = make_task(H, ForecastSchema(known=("hour",), observed=("seen",)))
    check_leak(uses("hour"), frame, task)
    with pytest.raises(LawError):
        check_leak(uses("seen"), frame, task)


def test_chance_is_told_apart_from_a_leak(frame, task):
    rng = np.random.default_rng(0)
    noisy = lambda rows, cutoff: answer(up_to(rows, cutoff), lambda values: rng.normal(size=H))  # noqa: E731
    with pytest.raises(
        LawError, match=r"check_leak: two runs on the same rows differ by .*: fix the forecaster's seed."
    ):
        check_leak(noisy, frame, task)


def test_baselines_are_honest_also_in_their_rolling_form(frame, task):
    for make in (naive, drift, lambda s, h: seasonal_naive(s, h, 24)):
        assert check_leak(make(SCHEMA, H), frame, task).largest == 0.0


def test_pandas_and_arrow_frames_stay_what_they_are(frame, task):
    kinds = set()

    def ask(rows, cutoff):
        kinds.add(type(rows).__name__)
        table = pl.from_pandas(rows) if type(rows).__name__ == "DataFrame" else pl.DataFrame(rows)
        return answer(up_to(table, cutoff), lambda values: np.full(H, values[-1]))

    check_leak(ask, frame.to_pandas(), task)
    check_leak(ask, frame.to_arrow(), task)
    assert kinds == {"DataFrame", "Table"}
    assert check_recency(ask, frame.to_pandas(), task).movement == pytest.approx((1.0,) * H)


def test_reading_the_last_outputs_is_caught_as_blind(frame, task):
    with pytest.raises(LawError) as error:
        check_recency(from_history(last_outputs, task), frame, task)
    assert str(error.value) == (
        "check_recency: steps 1-5 of 6 ignore the newest observation (series 'a', target 'y', "
        "cutoff 2024-01-20 17:00:00): read every step out of the state after the newest row."
    )


def test_reading_all_steps_from_the_last_state_passes(frame, task):
    def forecast(history, future):
        return last_outputs(history).with_columns(pl.col("mean").last().over("unique_id"))

    result = check_recency(from_history(forecast, task), frame, task)
    assert len(result.movement) == H
    assert min(result.movement) > 0
    assert str(result).startswith("Recency holds: all 6 steps react to the newest observation")


def test_recency_of_the_baselines(frame, task, make_task):
    """Naive and drift react at every step; the seasonal naive, by nature, at one step of each season."""
    assert min(check_recency(naive(SCHEMA, H), frame, task).movement) >= 1.0
    assert min(check_recency(drift(SCHEMA, H), frame, task).movement) > 1.0
    with pytest.raises(LawError, match="steps 1-23, 25-47 of 48 ignore the newest observation"):
        check_recency(seasonal_naive(SCHEMA, 48, 24, (0.5,)), frame, make_task(48))


def test_known_columns_stay_with_the_rows_ahead(frame, make_task):
    frame = frame.with_columns(pl.col("ds").dt.hour().alias("hour"))
    task = make_task(H, ForecastSchema(known=("hour",)))
    seen = []

    def forecast(history, future):
        seen.append((history["ds"].max(), future["ds"].min(), future.columns))
        return naive(SCHEMA, H)(history)

    check_recency(from_history(forecast, task), frame, task)
    assert all(newest < first and columns == ["unique_id", "ds", "hour"] for newest, first, columns in seen)


def test_every_target_and_every_series_is_nudged(frame, make_task):
    frame = frame.with_columns((pl.col("y") * 100).alias("z"))
    task = make_task(H, ForecastSchema(target=("y", "z"), frequency="1h"))
    check_recency(naive(task.schema, H), frame, task)

    def deaf(history, future):
        moving = naive(task.schema, H)(history)
        still = pl.col("target").eq("z") & pl.col("unique_id").eq("b")
        values = pl.selectors.float()
        return moving.with_columns(pl.when(still).then(7.0).otherwise(values).name.keep())

    with pytest.raises(LawError, match=r"steps 1-6 of 6 .* \(series 'b', target 'z'"):
        check_recency(from_history(deaf, task), frame, task)


def test_one_step_text_and_missing_horizon(frame, make_task):
    first_blind = lambda h, f: naive(SCHEMA, 1)(h).with_columns(pl.selectors.float() * 0)  # noqa: E731
    task = make_task(1)
    with pytest.raises(LawError, match="check_recency: step 1 of 1 ignore"):
        check_recency(from_history(first_blind, task), frame, task)
    with pytest.raises(ConfigError, match="horizon: got none"):
        check_leak(scaled_on_all_rows, frame)
