"""From a bundle to live streams, without torch where it holds its step as a graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from statewise.bundle import Bundle
from statewise.core.errors import BundleError, ConfigError, lookup
from statewise.rows.classify import ClassifyCodec
from statewise.rows.forecast import ForecastCodec
from statewise.rows.generate import GenerateCodec
from statewise.rows.tag import TagCodec
from statewise.streaming.engines import Engine, OnnxEngine
from statewise.streaming.forecast import ForecastStream, StreamConfig
from statewise.streaming.items import ItemCodec, ItemStream
from statewise.streaming.replay import verify
from statewise.streaming.stream import Stream
from statewise.streaming.streams import Streams

Opener = Callable[[Bundle, Engine], Stream[Any]]


def onnx_engine(bundle: Bundle) -> OnnxEngine:
    """The engine of the bundle's `step.onnx`. Raises BundleError when it holds none."""
    if bundle.step_onnx is None:
        raise BundleError(
            "bundle: holds no step.onnx: save the model with it, or run it with torch (--engine torch)."
        )
    names = tuple(spec.name for spec in bundle.inputs)
    return OnnxEngine(bundle.step_onnx, names, bundle.state, bundle.model_hash)


def open_streams(bundle: Bundle, engine: Engine) -> Streams[Any]:
    """Streams of the bundle's model on `engine`, after its sample rows gave the answers the saver got.

    Raises BundleError, ConfigError for a model that cannot stream.
    """
    opener = lookup(KINDS, bundle.kind, "kind")
    if not bundle.inputs:
        raise ConfigError(
            "stream: this model reads the future: it cannot stream. Train it with bidirectional=False, or "
            "ask it with statewise predict."
        )
    verify(opener(bundle, engine), bundle.samples)
    return Streams(opener(bundle, engine))


def stream_config(bundle: Bundle) -> StreamConfig:
    """The settings that a forecaster's bundle wants for its streams."""
    warm_steps = bundle.config.get("warm_steps", 0)
    return StreamConfig(quantiles=bundle.quantiles, warm_steps=int(warm_steps))


def _forecasts(bundle: Bundle, engine: Engine) -> ForecastStream:
    return ForecastStream(ForecastCodec.from_json(bundle.codec), engine, config=stream_config(bundle))


def _items(codec: Callable[[Any], ItemCodec]) -> Opener:
    def opened(bundle: Bundle, engine: Engine) -> ItemStream:
        return ItemStream(codec(bundle.codec), engine)

    return opened


KINDS: dict[str, Opener] = {
    "forecast": _forecasts,
    "classify": _items(ClassifyCodec.from_json),
    "tag": _items(TagCodec.from_json),
    "generate": _items(GenerateCodec.from_json),
}
