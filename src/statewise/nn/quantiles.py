"""From raw network outputs to a mean and quantiles that never cross, and the losses that train them.

Pinball loss: Koenker and Bassett 1978. The quantiles are a median plus cumulated positive steps
(as in Park et al. 2022, "Learning quantile functions without quantile crossing").
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from statewise.core.errors import ConfigError

_FIRST_STEP = -1.5  # softplus(-1.5) ≈ 0.2 spreads between neighbouring quantiles at the start
MEAN_WEIGHT = 0.2


def check_levels(levels: tuple[float, ...]) -> None:
    """Raises ConfigError unless the levels rise within (0, 1) and hold the median."""
    if list(levels) != sorted(set(levels)) or not all(0 < level < 1 for level in levels):
        raise ConfigError(f"quantiles: got {levels}, want rising levels between 0 and 1.")
    if 0.5 not in levels:
        raise ConfigError(f"quantiles: got {levels}, want the median 0.5 among them.")


class Head(nn.Module, ABC):
    """Turns `size` raw numbers per forecast into mean and quantiles, [..., 1 + Q], around a location."""

    size: int

    @abstractmethod
    def forward(self, raw: Tensor, location: Tensor) -> Tensor:
        """raw [..., size] and location [...] to [..., 1 + Q]."""

    @abstractmethod
    def loss(self, raw: Tensor, location: Tensor, target: Tensor) -> Tensor:
        """Loss of each forecast, [...]; the target is finite."""


class QuantileHead(Head):
    """Quantiles by pinball loss, and a mean by squared error."""

    levels: Tensor

    def __init__(self, levels: tuple[float, ...]) -> None:
        super().__init__()
        check_levels(levels)
        self.size = 1 + len(levels)
        self.middle = levels.index(0.5)
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.float32), persistent=False)

    def forward(self, raw: Tensor, location: Tensor) -> Tensor:
        sizes = [1, self.middle, 1, self.size - 2 - self.middle]
        mean, low, median, high = torch.split(raw, sizes, dim=-1)
        location = location.unsqueeze(-1)
        median = median + location
        steps_up = functional.softplus(high + _FIRST_STEP)
        steps_down = functional.softplus(low + _FIRST_STEP)
        up = median + torch.cumsum(steps_up, dim=-1)
        down = median - torch.cumsum(steps_down.flip(-1), dim=-1).flip(-1)
        return torch.cat((mean + location, down, median, up), dim=-1)

    def loss(self, raw: Tensor, location: Tensor, target: Tensor) -> Tensor:
        out = self(raw, location)
        error = target.unsqueeze(-1) - out[..., 1:]
        levels = self.levels.to(error.dtype)
        pinball = torch.maximum(levels * error, (levels - 1) * error).mean(-1)
        loss: Tensor = 2 * pinball + MEAN_WEIGHT * (target - out[..., 0]).square()
        return loss


class DistributionHead(Head):
    """A location-scale distribution by its likelihood; quantiles in closed form."""

    size = 2
    points: Tensor

    def __init__(self, name: str, levels: tuple[float, ...]) -> None:
        super().__init__()
        check_levels(levels)
        self.name = name
        points = _POINTS[name](torch.tensor(levels, dtype=torch.float64))
        self.register_buffer("points", points.float(), persistent=False)

    def _mean_and_scale(self, raw: Tensor, location: Tensor) -> tuple[Tensor, Tensor]:
        return raw[..., 0] + location, functional.softplus(raw[..., 1]) + 1e-3

    def forward(self, raw: Tensor, location: Tensor) -> Tensor:
        mean, scale = self._mean_and_scale(raw, location)
        points = self.points.to(raw.dtype)
        return torch.cat((mean.unsqueeze(-1), mean.unsqueeze(-1) + scale.unsqueeze(-1) * points), dim=-1)

    def loss(self, raw: Tensor, location: Tensor, target: Tensor) -> Tensor:
        mean, scale = self._mean_and_scale(raw, location)
        loss: Tensor = scale.log() + _ENERGIES[self.name]((target - mean) / scale)
        return loss


def _laplace_points(levels: Tensor) -> Tensor:
    return -torch.sign(levels - 0.5) * torch.log1p(-2 * (levels - 0.5).abs())


# Quantile functions and negative log densities (up to the log scale) of the standard forms.
_POINTS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda levels: math.sqrt(2) * torch.erfinv(2 * levels - 1),
    "laplace": _laplace_points,
    "logistic": torch.logit,
}
_ENERGIES: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda z: 0.5 * z.square() + 0.5 * math.log(2 * math.pi),
    "laplace": lambda z: z.abs() + math.log(2),
    "logistic": lambda z: z + 2 * functional.softplus(-z),
}
HEADS = ("quantile", *_POINTS)


def make_head(name: str, levels: tuple[float, ...]) -> Head:
    """The head called `name`, one of HEADS."""
    return QuantileHead(levels) if name == "quantile" else DistributionHead(name, levels)
