# SPDX-License-Identifier: MIT
"""Layers that are one op, called from Python."""

from __future__ import annotations

from typing import Any

from .. import _convert, _ops
from ..creation import ones, zeros
from ..tensor import Tensor
from .module import Module, Parameter


class LeakyReLU(Module):
    """x where x > 0, slope * x elsewhere."""

    def __init__(self, slope: float = 0.01):
        self.slope = float(slope)

    def forward(self, x: Any) -> Tensor:
        return _ops.leaky_relu(x, self.slope)

    def extra_repr(self) -> str:
        return f"slope={self.slope}"


class ELU(Module):
    """x where x > 0, alpha * (exp(x) - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0):
        self.alpha = float(alpha)

    def forward(self, x: Any) -> Tensor:
        return _ops.elu(x, self.alpha)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"


class GroupNorm(Module):
    """Normalises groups of neighbouring channels of each sample of (N, C, …); weight, bias (C)."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True
    ):
        self.num_groups = _convert.integer(num_groups, "num_groups", "GroupNorm")
        self.num_channels = _convert.integer(num_channels, "num_channels", "GroupNorm")
        if self.num_groups < 1 or self.num_channels % self.num_groups:
            raise ValueError(
                f"[GroupNorm] received num_groups = {num_groups}, num_channels = {num_channels}; "
                "expected a number of groups that divides the channels"
            )
        self.eps, self.affine = eps, bool(affine)
        self.weight = Parameter(ones(self.num_channels)) if affine else None
        self.bias = Parameter(zeros(self.num_channels)) if affine else None

    def forward(self, x: Any) -> Tensor:
        return _ops.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}"


class RMSNorm(Module):
    """x / sqrt(mean of squares + eps) * weight over the last dimensions, `normalized_shape`."""

    def __init__(self, normalized_shape: Any, eps: float = 1e-6, elementwise_affine: bool = True):
        self.normalized_shape = _convert.ints(normalized_shape, "normalized_shape", "RMSNorm")
        self.eps, self.elementwise_affine = eps, bool(elementwise_affine)
        self.weight = Parameter(ones(*self.normalized_shape)) if elementwise_affine else None

    def forward(self, x: Any) -> Tensor:
        return _ops.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}"


__all__ = ["ELU", "GroupNorm", "LeakyReLU", "RMSNorm"]
