# SPDX-License-Identifier: MIT
"""Initial values, written into a Tensor; each function returns it.

Fans are those of (out, in) and (out, in / groups, height, width) weights. Sources: Glorot and
Bengio 2010 (xavier), He et al. 2015 (kaiming), Saxe et al. 2014 (orthogonal).
"""

from __future__ import annotations

import math

from .. import _ops
from ..tensor import Tensor

_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
}


def calculate_gain(nonlinearity: str, a: float = 0.0) -> float:
    """The factor that keeps the variance through a nonlinearity."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1.0 + a * a))
    if nonlinearity not in _GAINS:
        raise ValueError(
            f"[init] received nonlinearity {nonlinearity!r}; expected one of "
            f"{', '.join([*_GAINS, 'leaky_relu'])}"
        )
    return _GAINS[nonlinearity]


def _fans(x: Tensor, name: str) -> tuple[int, int]:
    shape = x.shape
    if len(shape) < 2:
        raise ValueError(f"[{name}] received shape {shape}; expected at least two dimensions")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def constant(x: Tensor, value: float) -> Tensor:
    _ops.fill_(x.detach(), value)
    return x


def zeros(x: Tensor) -> Tensor:
    return constant(x, 0.0)


def ones(x: Tensor) -> Tensor:
    return constant(x, 1.0)


def uniform(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    _ops.uniform_(x.detach(), low, high)
    return x


def normal(x: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    _ops.normal_(x.detach(), mean, std)
    return x


def xavier_uniform(x: Tensor, gain: float = 1.0) -> Tensor:
    bound = gain * math.sqrt(6.0 / sum(_fans(x, "xavier_uniform")))
    return uniform(x, -bound, bound)


def xavier_normal(x: Tensor, gain: float = 1.0) -> Tensor:
    return normal(x, 0.0, gain * math.sqrt(2.0 / sum(_fans(x, "xavier_normal"))))


def _kaiming(x: Tensor, a: float, mode: str, nonlinearity: str, name: str) -> float:
    """The standard deviation."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f'[{name}] received mode {mode!r}; expected "fan_in" or "fan_out"')
    fan = _fans(x, name)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def kaiming_uniform(
    x: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    bound = math.sqrt(3.0) * _kaiming(x, a, mode, nonlinearity, "kaiming_uniform")
    return uniform(x, -bound, bound)


def kaiming_normal(
    x: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> Tensor:
    return normal(x, 0.0, _kaiming(x, a, mode, nonlinearity, "kaiming_normal"))


def orthogonal(x: Tensor, gain: float = 1.0) -> Tensor:
    """Rows (or columns, where there are more rows) at right angles, as a matrix (out, the rest),
    of length gain. Saxe et al. 2014."""
    import numpy as np

    rows = x.shape[0] if x.ndim else 0
    if x.ndim < 2:
        raise ValueError(
            f"[orthogonal] received shape {x.shape}; expected at least two dimensions"
        )
    if x.size == 0:
        return x
    drawn = normal(Tensor(np.zeros((rows, x.size // rows)), dtype="float64")).numpy()
    wide = drawn.shape[0] < drawn.shape[1]
    q, r = np.linalg.qr(drawn.T if wide else drawn)
    q = q * np.sign(np.diag(r))  # uniform over all such matrices
    value = gain * (q.T if wide else q).reshape(x.shape)
    _ops.copy_(x.detach(), Tensor(np.ascontiguousarray(value), dtype=x.dtype))
    return x


# PyTorch's names.
constant_, zeros_, ones_, uniform_, normal_ = constant, zeros, ones, uniform, normal
xavier_uniform_, xavier_normal_ = xavier_uniform, xavier_normal
kaiming_uniform_, kaiming_normal_ = kaiming_uniform, kaiming_normal
orthogonal_ = orthogonal
