# SPDX-License-Identifier: MIT
"""Layers and losses without state: the engine's ops under their usual names."""

from .. import _ops

# Only what the engine has is published.
_NAMES = (
    "avg_pool2d batch_norm conv2d cross_entropy dropout elu embedding gelu layer_norm leaky_relu "
    "linear log_softmax max_pool2d mse_loss one_hot pad relu sigmoid silu softmax softplus tanh"
)
__all__ = [name for name in _NAMES.split() if hasattr(_ops, name)]
globals().update((name, getattr(_ops, name)) for name in __all__)
