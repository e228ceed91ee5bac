# SPDX-License-Identifier: MIT
"""Layers and losses without state: the engine's ops under their usual names."""

from typing import Any

from .. import _convert, _ops
from ..tensor import Tensor


def pad(x: Any, pad: Any, mode: str = "constant", value: float = 0.0) -> Tensor:
    """Adds `value` around: pad holds (before, after) of the last dimension, then of others."""
    return _convert.tensor(x, "x", "pad").pad(pad, mode, value)


# Only what the engine has is published.
_NAMES = (
    "avg_pool2d batch_norm conv2d cross_entropy dropout elu embedding gelu layer_norm leaky_relu "
    "linear log_softmax max_pool2d mse_loss one_hot relu scaled_dot_product_attention sigmoid silu "
    "softmax softplus tanh"
)
__all__ = [name for name in _NAMES.split() if hasattr(_ops, name)]
globals().update((name, getattr(_ops, name)) for name in __all__)
__all__.append("pad")
