"""From a bundle's values back to a model: the part that is the same for all kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

from statewise.bundle import Bundle
from statewise.core.config import from_mapping
from statewise.core.errors import BundleError, ConfigError
from statewise.models.model import Model
from statewise.nn.backbone import BackboneConfig

Made = TypeVar("Made", bound=Model)


def restored(
    bundle: Bundle,
    model: type[Made],
    task: type[Any],
    codec: Callable[[Any], Any],
    network: Callable[..., nn.Module],
    **further: Callable[[Any], Any],
) -> Made:
    """The model stored in a bundle. Raises BundleError.

    `codec` reads the codec's plain values; `network` makes the untrained network of (task, codec, backbone,
    members), with the values of `further` after these: settings of the kind's own, each with its reader.
    """
    config = bundle.config
    try:
        found = from_mapping(task, config["task"], "bundle: task")
        backbone = from_mapping(BackboneConfig, config["backbone"], "bundle: backbone")
        members = int(config.get("members", 1))
        own = {name: read(config[name]) for name, read in further.items()}
    except (ConfigError, KeyError) as error:
        raise BundleError(f"bundle: config: {error}") from None
    coded = codec(bundle.codec)
    with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten: leave the caller's numbers
        made = network(found, coded, backbone, members, *own.values())
    _load(made, bundle)
    return model(
        task=found,
        backbone=backbone,
        codec=coded,
        network=made.eval(),
        training=config.get("training", {}),
        samples=bundle.samples,
        step_onnx=bundle.step_onnx,
        members=members,
        **own,
    )


def _load(network: nn.Module, bundle: Bundle) -> None:
    weights = {name: torch.from_numpy(array.copy()) for name, array in bundle.weights.items()}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise BundleError(f"bundle: weights do not fit the config: {reason}") from None
