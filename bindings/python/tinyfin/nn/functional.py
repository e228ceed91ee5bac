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
    "avg_pool2d batch_norm binary_cross_entropy binary_cross_entropy_with_logits conv2d "
    "cross_entropy dropout elu embedding gelu group_norm huber_loss l1_loss layer_norm leaky_relu "
    "linear log_softmax max_pool2d mse_loss nll_loss one_hot relu rms_norm "
    "scaled_dot_product_attention sigmoid silu softmax softplus tanh"
)
__all__ = [name for name in _NAMES.split() if hasattr(_ops, name)]
globals().update((name, getattr(_ops, name)) for name in __all__)
__all__.append("pad")
