# SPDX-License-Identifier: MIT
"""Losses as modules and as functions."""

from __future__ import annotations

from typing import Any

from .. import _ops
from ..tensor import Tensor
from .module import Module

binary_cross_entropy = _ops.binary_cross_entropy
binary_cross_entropy_with_logits = _ops.binary_cross_entropy_with_logits
cross_entropy = _ops.cross_entropy
huber_loss = _ops.huber_loss
l1_loss = _ops.l1_loss
mse_loss = _ops.mse_loss
nll_loss = _ops.nll_loss


def cross_entropy_logits(
    logits: Any, target: Any, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """cross_entropy() under its first name."""
    return _ops.cross_entropy(logits, target, weight, reduction)


def bce_loss(
    pred: Any, target: Any, logits: bool = False, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """Binary cross-entropy of probabilities, or with logits of what sigmoid() would get."""
    op = binary_cross_entropy_with_logits if logits else binary_cross_entropy
    return op(pred, target, weight, reduction)


class _Loss(Module):
    """A function of predictions and targets; a string as first argument is the reduction."""

    _function: Any = None

    def __init__(self, reduction: str = "mean"):
        self.reduction = reduction

    def forward(self, pred: Any, target: Any) -> Tensor:
        return self._function(pred, target, reduction=self.reduction)


class _WeightedLoss(_Loss):
    def __init__(self, weight: Any = None, reduction: str = "mean"):
        if isinstance(weight, str):
            weight, reduction = None, weight
        if weight is not None and not isinstance(weight, Tensor):
            weight = Tensor(weight)
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, pred: Any, target: Any) -> Tensor:
        return self._function(pred, target, self.weight, self.reduction)


class CrossEntropyLoss(_WeightedLoss):
    """cross_entropy() of logits and classes or probabilities; weight: of each class."""

    _function = staticmethod(cross_entropy)


class NLLLoss(_WeightedLoss):
    """nll_loss() of log-probabilities and classes; weight: of each class."""

    _function = staticmethod(nll_loss)


class BCELoss(_WeightedLoss):
    """binary_cross_entropy() of probabilities; weight: factors of the elements."""

    _function = staticmethod(binary_cross_entropy)


class BCEWithLogitsLoss(_WeightedLoss):
    """binary_cross_entropy_with_logits(); weight: factors of the elements."""

    _function = staticmethod(binary_cross_entropy_with_logits)


class MSELoss(_Loss):
    """The mean (or sum) of squared differences."""

    _function = staticmethod(mse_loss)


class L1Loss(_Loss):
    """The mean (or sum) of absolute differences."""

    _function = staticmethod(l1_loss)


class HuberLoss(_Loss):
    """Squared differences up to delta, linear beyond: huber_loss()."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction)
        self.delta = delta

    def forward(self, pred: Any, target: Any) -> Tensor:
        return huber_loss(pred, target, self.delta, self.reduction)


__all__ = (
    "BCELoss BCEWithLogitsLoss CrossEntropyLoss HuberLoss L1Loss MSELoss NLLLoss bce_loss "
    "binary_cross_entropy binary_cross_entropy_with_logits cross_entropy cross_entropy_logits "
    "huber_loss l1_loss mse_loss nll_loss"
).split()
