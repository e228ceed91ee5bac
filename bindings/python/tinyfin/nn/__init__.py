# SPDX-License-Identifier: MIT
"""Neural networks: Module, layers, losses, functions, initialisation."""

from . import functional, init
from .layers import *  # noqa: F403
from .layers import __all__ as _layers
from .losses import *  # noqa: F403
from .losses import __all__ as _losses
from .module import Module, Parameter

__all__ = [*_layers, *_losses, "Module", "Parameter", "functional", "init"]
