# SPDX-License-Identifier: MIT
"""x[…] as one call of the engine: the index becomes a list of groups of four integers.

(0, i, 0, 0) an integer; (1, start, stop, step) a slice, NONE for what is not given; (2, 0, 0, 0)
a new dimension; (3, 0, 0, 0) the ellipsis; (4, k, 0, 0) the k-th tensor: integers or a mask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _convert, _ops

if TYPE_CHECKING:
    from .tensor import Tensor

NONE = -(1 << 63)
_FAR = 1 << 62
_WHAT = "integers, slices, None, ..., boolean masks or integer arrays"


def _bound(value: Any) -> int:
    if value is None:
        return NONE
    if type(value) is int and -_FAR < value < _FAR:
        return value
    value = value.__index__()
    # Anything beyond a size means its end; NONE itself is taken.
    return max(NONE + 1, min(value, (1 << 63) - 1))


def encode(index: Any) -> tuple[list[int], list[Tensor]]:
    items = index if type(index) is tuple else (index,)
    spec: list[int] = []
    tensors: list[Tensor] = []
    for item in items:
        kind = type(item)
        if kind is int:
            spec += (0, _convert.integer(item, "index", "getitem"), 0, 0)
        elif kind is slice:
            try:
                spec += (1, _bound(item.start), _bound(item.stop), _bound(item.step))
            except AttributeError:
                raise IndexError(
                    f"[getitem] received {item}; expected integers in a slice"
                ) from None
        elif item is None:
            spec += (2, 0, 0, 0)
        elif item is Ellipsis:
            spec += (3, 0, 0, 0)
        elif kind is not bool and not hasattr(item, "ndim") and hasattr(item, "__index__"):
            spec += (0, item.__index__(), 0, 0)
        else:
            try:
                tensors.append(_of(item))
            except (TypeError, ValueError):
                raise IndexError(
                    f"[getitem] received {kind.__name__} as an index; expected {_WHAT}"
                ) from None
            spec += (4, len(tensors) - 1, 0, 0)
    return spec, tensors


def _of(item: Any) -> Tensor:
    if isinstance(item, bool):
        return _convert._Tensor(item, dtype="bool")
    if isinstance(item, (list, tuple)) and not item:
        return _convert._Tensor([], dtype="int64")
    return _convert.tensor(item, "index", "getitem", True)


def getitem(x: Tensor, index: Any) -> Tensor:
    """Any index; ints, slices, None and … without arrays get no further than Handle's x[…]."""
    spec, tensors = encode(index)
    return _ops._getitem(x, spec, tensors)


def setitem(x: Tensor, index: Any, value: Any) -> None:
    spec, tensors = encode(index)
    _ops._setitem_(x, spec, tensors, value)
