# SPDX-License-Identifier: MIT
"""tinyfin: a small, fast, deterministic neural network library.

import tinyfin as tf
x = tf.Tensor([[1.0, 2.0]], requires_grad=True)
(x * x).sum().backward()
print(x.grad)
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from . import creation, ctx, errors, runtime
from ._native import ffi as _ffi
from ._native import lib as _lib
from ._ops import *  # noqa: F403
from ._ops import __all__ as _op_names
from .autograd import grad
from .creation import *  # noqa: F403
from .ctx import *  # noqa: F403
from .errors import *  # noqa: F403
from .runtime import *  # noqa: F403
from .tensor import Tensor
from .types import DEVICE, DTYPE, Device

# Loaded when first used: `import tinyfin` alone stays quick.
_SUBMODULES = ("callbacks", "data", "nn", "optim", "scheduler", "training", "utils")
_ELSEWHERE = {
    **dict.fromkeys(
        ("SGD", "Adam", "AdamW", "RMSprop", "SGDOpt", "AdamOpt", "RMSPropOpt", "Optimizer"), "optim"
    ),
    **dict.fromkeys(
        ("StepLR", "ExponentialLR", "LinearWarmupLR", "CosineAnnealingLR", "OneCycleLR"),
        "scheduler",
    ),
    "cross_entropy_logits": "nn",
    "assert_finite": "utils",
    "load_checkpoint": "utils",
    "save_checkpoint": "utils",
}

__all__ = [
    *_op_names,
    *creation.__all__,
    *ctx.__all__,
    *errors.__all__,
    *runtime.__all__,
    "DEVICE",
    "DTYPE",
    "Device",
    "Tensor",
    "ctx",
    "grad",
    *_SUBMODULES,
    *_ELSEWHERE,
]

__version__ = _ffi.string(_lib.tf_version()).decode()


def __getattr__(name: str) -> _Any:
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    if name in _ELSEWHERE:
        value = getattr(_import_module(f"{__name__}.{_ELSEWHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
