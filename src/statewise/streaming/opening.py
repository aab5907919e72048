"""From a bundle to live streams, without torch where it holds its step as a graph."""

from __future__ import annotations

from statewise.bundle import Bundle
from statewise.core.errors import BundleError, lookup
from statewise.rows.forecast import ForecastCodec
from statewise.streaming.engines import Engine, OnnxEngine
from statewise.streaming.replay import verify
from statewise.streaming.session import Stream, StreamConfig
from statewise.streaming.streams import Streams

CODECS = {"forecast": ForecastCodec.from_json}


def onnx_engine(bundle: Bundle) -> OnnxEngine:
    """The engine of the bundle's `step.onnx`. Raises BundleError when it holds none."""
    if bundle.step_onnx is None:
        raise BundleError(
            "bundle: holds no step.onnx: save the model with it, or run it with torch (--engine torch)."
        )
    names = tuple(spec.name for spec in bundle.inputs)
    return OnnxEngine(bundle.step_onnx, names, bundle.state, bundle.model_hash)


def open_streams(bundle: Bundle, engine: Engine, config: StreamConfig | None = None) -> Streams:
    """Streams of the bundle's model on `engine`, after its sample rows gave the answers the saver got.

    Without `config`: the bundle's quantiles, and "warm_steps" of its config. Raises BundleError.
    """
    codec = lookup(CODECS, bundle.kind, "kind")(bundle.codec)
    config = config or stream_config(bundle)
    verify(Stream(codec, engine, config=config), bundle.samples)
    return Streams(codec, engine, config)


def stream_config(bundle: Bundle) -> StreamConfig:
    """The settings that the bundle's model wants for its streams."""
    warm_steps = bundle.config.get("warm_steps", 0)
    return StreamConfig(quantiles=bundle.quantiles, warm_steps=int(warm_steps))
