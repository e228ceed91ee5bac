# SPDX-License-Identifier: MIT
"""Neural networks: Module, layers, losses, functions, initialisation."""

from . import functional, init
from .attention import *  # noqa: F403
from .attention import __all__ as _attention
from .composed import *  # noqa: F403
from .composed import __all__ as _composed
from .layers import *  # noqa: F403
from .layers import __all__ as _layers
from .losses import *  # noqa: F403
from .losses import __all__ as _losses
from .module import Module, Parameter
from .recurrent import *  # noqa: F403
from .recurrent import __all__ as _recurrent

__all__ = [
    *_attention,
    *_composed,
    *_layers,
    *_losses,
    *_recurrent,
    "Module",
    "Parameter",
    "functional",
    "init",
]
