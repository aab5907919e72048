"""The model on the compiled kernels: the same forecasts, the same snapshots, and what "auto" takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from model_rows import live_rows

from statewise.core.errors import ConfigError
from statewise.core.native import extension
from statewise.models import model as models
from statewise.models.forecast import ForecastModel
from statewise.nn.live import TorchEngine
from statewise.streaming.native_engine import NativeEngine
from statewise.testing import check_stream

pytestmark = pytest.mark.skipif(
    extension() is None or not hasattr(extension(), "Steps"), reason="the compiled kernels are not there"
)

Frames = Callable[..., pl.DataFrame]


def test_forecasts_are_those_of_torch(small_model: ForecastModel, make_frame: Frames) -> None:
    native, torch_stream = small_model.stream("s0", "native"), small_model.stream("s0", "torch")
    mean, scale = (
        part.reshape(-1, 1, 1) for part in (small_model.codec.target_mean, small_model.codec.target_scale)
    )
    for number, row in enumerate(live_rows(make_frame((150,)), "s0")):
        one, other = native.update(row).values, torch_stream.update(row).values
        np.testing.assert_allclose((one - mean) / scale, (other - mean) / scale, rtol=1e-4, atol=1e-5)
        if number == 70:  # a session moves from one engine to the other, and back
            native, torch_stream = (
                small_model.restore(torch_stream.snapshot(), "native"),
                small_model.restore(native.snapshot(), "torch"),
            )


def test_a_native_stream_keeps_the_law(small_model: ForecastModel, make_frame: Frames) -> None:
    check_stream(small_model, make_frame((60,)), engine="native")


def test_auto_takes_the_kernels_where_they_hold_the_whole_step(
    small_model: ForecastModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(small_model.engine(), NativeEngine)
    assert isinstance(small_model.engine("torch"), TorchEngine)

    def missing(*_: object, **__: object) -> bytes:
        raise ConfigError("native step: no native form of aten.sort.default: use another engine.")

    monkeypatch.setattr(models, "step_program", missing)
    monkeypatch.delitem(small_model.__dict__, "_program", raising=False)
    monkeypatch.delitem(small_model.__dict__, "_native", raising=False)
    assert isinstance(small_model.engine(), TorchEngine)
    with pytest.raises(ConfigError, match=r"^native step: no native form of aten\.sort\.default"):
        small_model.engine("native")
    small_model.__dict__.pop("_native")
