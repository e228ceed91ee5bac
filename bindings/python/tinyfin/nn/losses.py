# SPDX-License-Identifier: MIT
"""Losses as modules and as functions."""

from __future__ import annotations

from typing import Any

from .. import _ops
from ..tensor import Tensor
from .module import Module

cross_entropy = _ops.cross_entropy
mse_loss = _ops.mse_loss


def cross_entropy_logits(
    logits: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """cross_entropy() under its first name."""
    return _ops.cross_entropy(logits, target, weight, reduction)


class CrossEntropyLoss(Module):
    """cross_entropy() of logits and classes; a string as first argument is the reduction."""

    def __init__(self, weight: Any = None, reduction: str = "mean"):
        if isinstance(weight, str):
            weight, reduction = None, weight
        if weight is not None and not isinstance(weight, Tensor):
            weight = Tensor(weight)
        self.register_buffer("weight", weight)
        self.reduction = reduction

    def forward(self, logits: Any, target: Any) -> Tensor:
        return _ops.cross_entropy(logits, target, self.weight, self.reduction)


class MSELoss(Module):
    """The mean (or sum) of squared differences."""

    def __init__(self, reduction: str = "mean"):
        self.reduction = reduction

    def forward(self, pred: Any, target: Any) -> Tensor:
        return _ops.mse_loss(pred, target, self.reduction)


__all__ = [
    "CrossEntropyLoss",
    "MSELoss",
    "cross_entropy",
    "cross_entropy_logits",
    "mse_loss",
]
