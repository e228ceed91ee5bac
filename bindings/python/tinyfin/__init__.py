# SPDX-License-Identifier: MIT
"""tinyfin: a small, fast, deterministic neural network library.

import tinyfin as tf
x = tf.Tensor([[1.0, 2.0]], requires_grad=True)
(x * x).sum().backward()
print(x.grad)
"""

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
]

__version__ = _ffi.string(_lib.tf_version()).decode()
