# SPDX-License-Identifier: MIT
"""Functions that make tensors; each is also a static method of Tensor."""

from __future__ import annotations

from typing import Any

from . import _convert, _ops, interchange
from ._convert import DeviceLike, DTypeLike, TensorLike
from ._native import made
from .tensor import Tensor


def _made(tensor: Tensor, requires_grad: bool) -> Tensor:
    return tensor.requires_grad_() if requires_grad else tensor


def empty(
    *shape: Any,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor whose values are whatever the memory held."""
    return _made(_ops._empty(*shape, dtype=dtype, device=device), requires_grad)


def zeros(
    *shape: Any,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of zeros."""
    return _made(_ops._zeros(*shape, dtype=dtype, device=device), requires_grad)


def ones(
    *shape: Any,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of ones."""
    return _made(_ops._ones(*shape, dtype=dtype, device=device), requires_grad)


def full(
    shape: Any,
    value: Any,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor filled with one value."""
    return _made(_ops._full(shape, value, dtype, device), requires_grad)


def rand(
    *shape: Any,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uniform random numbers from [0, 1)."""
    return _made(_ops._rand(*shape, dtype=dtype, device=device), requires_grad)


def randn(
    *shape: Any,
    mu: float = 0.0,
    sigma: float = 1.0,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal random numbers."""
    size = _convert.sizes(shape, "shape", "randn")
    return _made(_ops._randn(size, mu, sigma, dtype, device), requires_grad)


def randint(
    low: int,
    high: int,
    shape: Any,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
) -> Tensor:
    """Random integers from [low, high); int64 unless `dtype` is given."""
    return _ops._randint(low, high, shape, dtype, device)


def bernoulli(
    p: float,
    shape: Any,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
) -> Tensor:
    """Ones with probability p, else zeros."""
    return _ops._bernoulli(p, shape, dtype, device)


def randperm(n: int, device: DeviceLike | None = None) -> Tensor:
    """0 … n-1 in random order, int64."""
    return _ops._randperm(n, device)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … below stop; arange(n) counts from 0. int64 for integers."""
    if stop is None:
        start, stop = 0, start
    if dtype is None:
        whole = all(isinstance(v, int) for v in (start, stop, step))
        dtype = "int64" if whole else "float32"
    return _made(_ops._arange(start, stop, step, dtype, device), requires_grad)


def linspace(
    start: float,
    stop: float,
    steps: int,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` numbers at equal distances from start to stop, both included."""
    return _made(_ops._linspace(start, stop, steps, dtype, device), requires_grad)


def eye(
    n: int,
    m: int | None = None,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """(n, m) with ones on the diagonal; m is n unless given."""
    return _made(_ops._eye(n, m, dtype, device), requires_grad)


def _like(
    x: TensorLike,
    value: int,
    dtype: DTypeLike | None,
    device: DeviceLike | None,
    requires_grad: bool,
) -> Tensor:
    x = _convert.tensor(x, "x", "ones_like" if value else "zeros_like")
    if dtype is None and device is None:
        made = _ops._ones_like(x) if value else _ops._zeros_like(x)
    else:
        function = _ops._ones if value else _ops._zeros
        made = function(x.shape, dtype=dtype or x.dtype, device=device or x.device)
    return _made(made, requires_grad)


def zeros_like(
    x: TensorLike,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Zeros in the shape, dtype and device of x."""
    return _like(x, 0, dtype, device, requires_grad)


def ones_like(
    x: TensorLike,
    dtype: DTypeLike | None = None,
    device: DeviceLike | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Ones in the shape, dtype and device of x."""
    return _like(x, 1, dtype, device, requires_grad)


def from_dlpack(source: Any) -> Tensor:
    """A tensor over the memory of anything with `__dlpack__`, without a copy."""
    return made(interchange.from_dlpack(source))


def as_tensor(data: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """data itself where it is a Tensor of that dtype, else Tensor(data, dtype)."""
    if isinstance(data, Tensor) and (dtype is None or data.dtype == dtype):
        return data
    return Tensor(data, dtype)


__all__ = [
    "arange",
    "as_tensor",
    "bernoulli",
    "empty",
    "eye",
    "from_dlpack",
    "full",
    "linspace",
    "ones",
    "ones_like",
    "rand",
    "randint",
    "randn",
    "randperm",
    "zeros",
    "zeros_like",
]

for _name in __all__:
    if _name != "as_tensor":
        setattr(Tensor, _name, staticmethod(globals()[_name]))
for _name in ("stack",):
    setattr(Tensor, _name, staticmethod(getattr(_ops, _name)))
