"""Optimisers by name, and gradient clipping, with as little work per step as torch allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from statewise.core.errors import lookup

Groups = list[dict[str, Any]]

OPTIMIZERS: dict[str, Callable[[Groups], Optimizer]] = {
    "adamw": lambda groups: torch.optim.AdamW(groups, fused=True),
    "adam": lambda groups: torch.optim.Adam(groups, fused=True),
    "sgd": lambda groups: torch.optim.SGD(groups, foreach=True),
    "rmsprop": lambda groups: torch.optim.RMSprop(groups, foreach=True),
}


def make_optimizer(name: str, parameters: Iterable[nn.Parameter], weight_decay: float) -> Optimizer:
    """The optimiser `name`; only matrices decay, as a decayed bias or gain loses what it is for."""
    matrices: list[nn.Parameter] = []
    vectors: list[nn.Parameter] = []
    for parameter in parameters:
        (matrices if parameter.dim() >= 2 else vectors).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return lookup(OPTIMIZERS, name, "optimizer")([group for group in groups if group["params"]])


def set_learning_rate(optimizer: Optimizer, learning_rate: float) -> None:
    """Use `learning_rate` for the next step of every parameter."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate


def gradients(parameters: Iterable[nn.Parameter]) -> list[Tensor]:
    """The gradients there are; a parameter that took no part in the loss has none."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def global_norm(tensors: list[Tensor]) -> Tensor:
    """Euclidean norm of all entries of all tensors, as a tensor []."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(tensors)))
    return norm


def clip(tensors: list[Tensor], norm: float, largest: float) -> bool:
    """Scale tensors in place so that their global norm is at most `largest`; True when that was needed."""
    if not 0 < largest < norm:
        return False
    torch._foreach_mul_(tensors, largest / (norm + 1e-6))
    return True
