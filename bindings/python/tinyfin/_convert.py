# SPDX-License-Identifier: MIT
"""How arguments of Python calls become what the C functions take (used by _ops.py).

Ops first try with the handles their arguments have; these functions run when that failed, or
for arguments that are no tensors.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Union

from ._native import ffi, lib, made
from .errors import ArgumentError
from .types import DEVICE, DTYPE, device_handle, dtype_number

if TYPE_CHECKING:
    from .tensor import Tensor

# A Tensor, a number, nested lists, or anything with __array__ or __dlpack__.
TensorLike = Any
Ints = Union[int, Sequence[int]]
DTypeLike = Union[DTYPE, str, type, Any]
DeviceLike = Union[DEVICE, str, int, Any]

NULL = ffi.NULL
EMPTY = ffi.new("int64_t[1]")  # the address of an empty list, which is not NULL
NOT_READY = (AttributeError, TypeError, OverflowError)

_Tensor: Any = None  # the class Tensor, once tensor.py has defined it


def bind(tensor_class: type) -> None:
    global _Tensor
    _Tensor = tensor_class


class _Mark:
    def __init__(self, text: str):
        self.text = text

    def __repr__(self) -> str:
        return self.text


REQUIRED: Any = _Mark("<required>")  # stands where another spelling may give the value
UNSET: Any = _Mark("<not given>")


def missing(op: str, name: str) -> NoReturn:
    raise TypeError(f"[{op}] expected the argument `{name}`")


def respelled(op: str, name: str, value: Any, default: Any, other_name: str, other: Any) -> Any:
    """The value of an argument that was given under its other name."""
    if value is not default and value != default:
        raise TypeError(f"[{op}] received `{name}` and `{other_name}`; expected one of them")
    return other


def _wrong(op: str, name: str, value: Any, expected: str) -> NoReturn:
    raise TypeError(f"[{op}] received {type(value).__name__} for `{name}`; expected {expected}")


def _scalar(value: Any) -> Any:
    """A weak scalar for a Python or NumPy number; None for anything else."""
    kind = type(value)
    if kind is float:
        h = lib.tfpy_scalar_f64(value)
    elif kind is bool:
        h = lib.tfpy_scalar_bool(value)
    elif kind is int:
        h = lib.tfpy_scalar_i64(value)
    elif isinstance(value, (bool, int, float)):
        base = bool if isinstance(value, bool) else int if isinstance(value, int) else float
        return _scalar(base(value))
    elif kind.__module__ == "numpy" and kind.__name__ != "ndarray" and hasattr(value, "item"):
        item = value.item()
        return _scalar(item) if isinstance(item, (bool, int, float)) else None
    else:
        return None
    return made(h)


def operand(value: Any) -> Any:
    """The other side of an operator as a Tensor; None for a type that is not ours to handle."""
    if isinstance(value, _Tensor):
        return value
    scalar = _scalar(value)
    if scalar is not None:
        return scalar
    if isinstance(value, (list, tuple)) or hasattr(value, "__array__"):
        return _Tensor(value)
    return None


def tensor(value: Any, name: str, op: str, keep_kind: bool = False) -> Tensor:
    """An argument as a Tensor. `keep_kind`: integers and bools stay what they are."""
    if isinstance(value, _Tensor):
        return value
    scalar = _scalar(value)
    if scalar is not None:
        return scalar
    if isinstance(value, (list, tuple)) or hasattr(value, "__array__"):
        return _Tensor._of_kind(value) if keep_kind else _Tensor(value)
    if hasattr(value, "__dlpack__"):
        return _Tensor(value)
    _wrong(op, name, value, "a Tensor, a number, a list or an array")


def target_tensor(value: Any, name: str, op: str) -> None:
    if not isinstance(value, _Tensor):
        _wrong(op, name, value, "a Tensor, which is modified in place")


def tensor_list(
    values: Any, name: str, op: str, optional: bool, keep_kind: bool = False
) -> list:
    if isinstance(values, _Tensor) or not hasattr(values, "__iter__"):
        _wrong(op, name, values, "a sequence of tensors")
    return [
        None if optional and v is None else tensor(v, f"{name}[{i}]", op, keep_kind)
        for i, v in enumerate(values)
    ]


def integer(value: Any, name: str, op: str) -> int:
    try:
        value = operator.index(value)
    except TypeError:
        _wrong(op, name, value, "an int")
    if not -(1 << 63) <= value < 1 << 63:
        raise ArgumentError(f"[{op}] received {value} for `{name}`; expected a 64-bit integer")
    return value


def real(value: Any, name: str, op: str) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        _wrong(op, name, value, "a number")


def truth(value: Any, name: str, op: str) -> bool:
    if isinstance(value, (bool, int)) or type(value).__name__ in ("bool_", "bool"):
        return bool(value)
    _wrong(op, name, value, "a bool")


def ints(value: Any, name: str, op: str) -> tuple:
    """An int or a sequence of ints. What does not fit 64 bits fails later, see in_range()."""
    kind = type(value)
    if kind is int:
        return (value,)
    if kind is tuple or kind is list:
        for v in value:
            if type(v) is not int:
                break
        else:
            return value
    if hasattr(value, "__index__") and not getattr(value, "ndim", 0):
        return (integer(value, name, op),)
    try:
        return tuple([integer(v, name, op) for v in value])
    except TypeError:
        _wrong(op, name, value, "an int or a sequence of ints")


def in_range(values: Any, name: str, op: str) -> Any:
    """Ints that a call refused: fails for one beyond 64 bits."""
    if isinstance(values, (tuple, list)):
        for v in values:
            integer(v, name, op)
    return values


def sizes(values: tuple, name: str, op: str) -> tuple:
    """`*size`: ints, or one sequence of them."""
    if len(values) == 1 and not hasattr(values[0], "__index__"):
        values = values[0]
    return ints(values, name, op)


def pair(value: Any, name: str, op: str) -> tuple:
    """An int for both directions, or (height, width)."""
    found = in_range(ints(value, name, op), name, op)
    if len(found) == 1:
        return found * 2
    if len(found) != 2:
        raise ArgumentError(f"[{op}] received {value!r} for `{name}`; expected an int or a pair")
    return found


def padding_pair(value: Any, name: str, op: str) -> tuple:
    """pair(), "valid" (none), or "same": as much as keeps the size, by the engine."""
    if not isinstance(value, str):
        return pair(value, name, op)
    if value not in ("same", "valid"):
        raise ArgumentError(
            f'[{op}] received {value!r} for `{name}`; expected "same", "valid", an int or a pair'
        )
    return (lib.TINYFIN_PADDING_SAME if value == "same" else 0,) * 2


def max_count(n: int) -> int:
    """Room for results: the engine reports a count that makes no sense."""
    return n if 0 <= n <= 1 << 20 else 0


_REDUCTIONS = {
    "none": lib.TINYFIN_REDUCTION_NONE,
    "mean": lib.TINYFIN_REDUCTION_MEAN,
    "sum": lib.TINYFIN_REDUCTION_SUM,
}
_ACTIVATIONS = {
    None: lib.TINYFIN_ACTIVATION_NONE,
    "none": lib.TINYFIN_ACTIVATION_NONE,
    "relu": lib.TINYFIN_ACTIVATION_RELU,
    "gelu": lib.TINYFIN_ACTIVATION_GELU,
    "gelu_tanh": lib.TINYFIN_ACTIVATION_GELU_TANH,
    "sigmoid": lib.TINYFIN_ACTIVATION_SIGMOID,
    "tanh": lib.TINYFIN_ACTIVATION_TANH,
    "silu": lib.TINYFIN_ACTIVATION_SILU,
}


def _choice(table: dict, value: Any, what: str, op: str) -> int:
    try:
        return table[value]
    except (KeyError, TypeError):
        known = ", ".join(repr(k) for k in table if k is not None)
        raise ArgumentError(f"[{op}] received {what} {value!r}; expected one of {known}") from None


def reduction_number(value: Any, op: str) -> int:
    return _choice(_REDUCTIONS, value, "reduction", op)


def activation_number(value: Any, op: str) -> int:
    return _choice(_ACTIVATIONS, value, "activation", op)


__all__ = ["device_handle", "dtype_number"]
