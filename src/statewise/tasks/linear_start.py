"""Closed-form start of a forecaster's linear readout: ridge regression on training positions.

Hoerl and Kennard 1970. It takes a fraction of a second and leaves to training only what a linear
autoregression with a calendar cannot say.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from statewise.tasks.forecast_network import ForecastNetwork

_LEAST = 1e-3  # of the spread: a series without noise leaves nothing over
_POSITIONS = 60_000  # more add nothing but time


@torch.no_grad()
def solve_linear(
    network: ForecastNetwork, batches: Iterable[tuple[Tensor, Tensor, Tensor]], penalty: float
) -> None:
    """Set `network.linear` from (now [B, T, F], target [B, T, D, H], weight [B, T]) batches.

    Rows with a missing target or weight 0 are left out. `penalty` is per standardised feature.
    """
    lags, extras, wanted, missing = _collect(network, batches)
    every = max(1, len(lags) // _POSITIONS)
    for d in range(network.targets):
        features = torch.cat((lags[::every, d], extras[::every]), dim=-1).double()
        aim = wanted[::every, d].double()
        keep = ~missing[::every, d]
        if keep.sum() > 2 * network.horizon:
            weights = _ridge(features[keep], aim[keep], penalty)
            left_over = (aim[keep] - features[keep] @ weights).square().mean(dim=0).sqrt()
            network.linear[d] = weights.to(network.linear.dtype)
            network.left_over[d] = left_over.clamp(min=_LEAST).to(network.linear.dtype)


def _collect(
    network: ForecastNetwork, batches: Iterable[tuple[Tensor, Tensor, Tensor]]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
    for now, target, weight in batches:
        signals, _ = network.signals(now, network.initial_state(now.shape[0]))
        change = (target - signals.anchor) / signals.spread.unsqueeze(-1)
        missing = change.isnan().any(-1)
        trained = weight > 0
        parts.append((signals.lags[trained], signals.extras[trained], change[trained], missing[trained]))
    lags, extras, change, missing = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return lags, extras, change, missing


def _ridge(features: Tensor, aim: Tensor, penalty: float) -> Tensor:
    scale = features.std(dim=0)
    constant = features.abs().amax(dim=0) * 1e-6
    scale = torch.where(scale > constant.clamp(min=1e-6), scale, torch.ones_like(scale))
    standard = features / scale
    gram = standard.T @ standard
    gram.diagonal().add_(penalty)
    weights: Tensor = torch.linalg.solve(gram, standard.T @ aim)
    return weights / scale.unsqueeze(1)


@torch.no_grad()
def fit_bins(network: ForecastNetwork, batches: Iterable[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Set the edges of the piecewise-linear encoding to quantiles of the covariates' training values."""
    if network.edges is None or not len(network.edges):
        return
    columns = slice(network.targets, network.values)
    rows = torch.cat([now[..., columns].flatten(0, -2) for now, _, _ in batches])
    every = max(1, len(rows) // _POSITIONS)
    levels = torch.linspace(0, 1, network.edges.shape[1])
    for i, column in enumerate(rows[::every].unbind(1)):
        there = column[~column.isnan()]
        if len(there):
            network.edges[i] = _rising(there.quantile(levels))


def _rising(edges: Tensor) -> Tensor:
    """Edges with repeated ones pushed apart, so that every bin has a width."""
    least = 1e-3 * max(float(edges[-1] - edges[0]), 1e-3)
    steps = torch.arange(len(edges), dtype=edges.dtype) * least
    return (edges - steps).cummax(0).values + steps
